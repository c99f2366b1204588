"""Formula to tree, by recursive descent; limits as the service documents them."""

from __future__ import annotations

import math

from batch_emulator.autoscale.lexer import END, MARK, NAME, NUMBER, TEXT, Token, tokens
from batch_emulator.autoscale.problems import SYNTAX, TOO_LONG, FormulaError, Place
from batch_emulator.autoscale.syntax import (
    RANKS,
    Call,
    Chain,
    Choice,
    Expression,
    Link,
    Member,
    Method,
    Name,
    Number,
    Statement,
    Text,
    Unary,
    Vector,
)

MAX_LENGTH = 8192
"""Bytes of a formula in UTF-8."""
MAX_STATEMENTS = 100
MAX_DEPTH = 40
"""Parentheses, calls, signs and choices inside of each other. Ours: the service tells of no limit."""
MAX_DOTS = 4


def parse(formula: str) -> tuple[Statement, ...]:
    """The statements of a formula; FormulaError with the place of the first thing that is wrong."""
    if len(formula.encode("utf-8", "replace")) > MAX_LENGTH:
        raise FormulaError(TOO_LONG, Place(), f"The formula is longer than {MAX_LENGTH} bytes")
    return _Parser(formula).statements()


class _Parser:
    def __init__(self, formula: str) -> None:
        self._tokens = tokens(formula)
        self._token = next(self._tokens)
        self._depth = 0

    def _take(self) -> Token:
        taken = self._token
        if taken.kind != END:
            self._token = next(self._tokens)
        return taken

    def _at(self, *marks: str) -> bool:
        return self._token.kind == MARK and self._token.text in marks

    def _skip(self, mark: str) -> bool:
        found = self._at(mark)
        if found:
            self._take()
        return found

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._wrong(f"Expected {mark!r}, found {self._token.text!r}")

    def _wrong(self, reason: str) -> FormulaError:
        return FormulaError(SYNTAX, self._token.place, reason)

    def statements(self) -> tuple[Statement, ...]:
        found: list[Statement] = []
        while self._token.kind != END:
            if self._skip(";"):
                continue
            if len(found) == MAX_STATEMENTS:
                raise self._wrong(f"More than {MAX_STATEMENTS} statements")
            found.append(self._statement())
            if self._token.kind != END:
                self._expect(";")
        if not found:
            raise self._wrong("The formula has no statement")
        return tuple(found)

    def _statement(self) -> Statement:
        place = self._token.place
        value = self._expression()
        if not self._at("="):
            return Statement(None, value, place=place)
        if not isinstance(value, Name):
            raise self._wrong("Only a variable can be assigned to")
        self._take()
        return Statement(value.name, self._expression(), place=place)

    def _deeper(self) -> None:
        if self._depth == MAX_DEPTH:
            raise self._wrong(f"Nested more than {MAX_DEPTH} deep")
        self._depth += 1

    def _expression(self) -> Expression:
        self._deeper()
        place = self._token.place
        value = self._chain(0)
        if self._skip("?"):
            yes = self._expression()
            self._expect(":")
            value = Choice(value, yes, self._expression(), place=place)
        self._depth -= 1
        return value

    def _chain(self, rank: int) -> Expression:
        if rank == len(RANKS):
            return self._unary()
        place = self._token.place
        first = self._chain(rank + 1)
        links = []
        while self._at(*RANKS[rank]):
            token = self._take()
            links.append(Link(token.text, self._chain(rank + 1), place=token.place))
        return Chain(first, tuple(links), place=place) if links else first

    def _unary(self) -> Expression:
        signs = []
        while self._at("-", "!"):
            self._deeper()
            signs.append(self._take())
        value = self._postfix()
        self._depth -= len(signs)
        for sign in reversed(signs):
            value = Unary(sign.text, value, place=sign.place)
        return value

    def _postfix(self) -> Expression:
        value, dots = self._primary(), 0
        while self._skip("."):
            dots += 1
            if self._token.kind != NAME or dots > MAX_DOTS:
                raise self._wrong(f"Expected the name of a member, found {self._token.text!r}")
            name = self._take().text
            if self._skip("("):
                value = Method(value, name, self._items(")"), place=value.place)
            else:
                value = Member(value, name, place=value.place)
        return value

    def _primary(self) -> Expression:
        token = self._token
        if token.kind == NUMBER:
            return self._number()
        if token.kind == TEXT:
            return Text(self._take().text, place=token.place)
        if token.kind == NAME:
            name = self._take().text
            return Call(name, self._items(")"), place=token.place) if self._skip("(") else Name(name, place=token.place)
        if self._skip("["):
            return Vector(self._items("]"), place=token.place)
        if self._skip("("):
            value = self._expression()
            self._expect(")")
            return value
        raise self._wrong(f"Expected a value, found {token.text!r}")

    def _number(self) -> Number:
        value = float(self._token.text)
        if not math.isfinite(value):
            raise self._wrong("The number is too large")
        return Number(value, place=self._take().place)

    def _items(self, end: str) -> tuple[Expression, ...]:
        found: list[Expression] = []
        if self._skip(end):
            return ()
        while True:
            found.append(self._expression())
            if self._skip(end):
                return tuple(found)
            self._expect(",")
