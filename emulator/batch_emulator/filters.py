"""OData $filter: parsed into a predicate over entities.

Grammar: or, and, not, parentheses, comparisons (eq ne gt ge lt le) of a property with a literal,
startswith(property, 'text'). Literals: 'text', 12, true, false, null, DateTime'2026-01-31T00:00:00Z'.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from batch_emulator.durations import timestamp_ticks
from batch_emulator.errors import query_error

T = TypeVar("T")
Value = str | int | bool | None
Predicate = Callable[[T], bool]
Property = Callable[[T], Value]
"""How to read a property off an entity; points in time are ticks."""

_TOKEN = re.compile(
    r"\s*(?:(?P<date>[dD]ate[tT]ime'(?P<moment>[^']*)')|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)(?![\w-])"
    r"|(?P<name>[A-Za-z_][\w/]*)|(?P<mark>[(),]))"
)
_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,  # type: ignore[dict-item]  # compares values of one type, checked before
    "ge": operator.ge,  # type: ignore[dict-item]
    "lt": operator.lt,  # type: ignore[dict-item]
    "le": operator.le,  # type: ignore[dict-item]
}
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
MAX_LENGTH = 10_000
MAX_DEPTH = 50


class _Parser(Generic[T]):
    def __init__(self, text: str, properties: Mapping[str, Property[T]]) -> None:
        self._text = text
        self._properties = properties
        self._tokens = self._split(text)
        self._depth = 0

    def _split(self, text: str) -> list[re.Match[str]]:
        tokens, place = [], 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._wrong(f"not understood at character {place + 1}")
            tokens.append(match)
            place = match.end()
        tokens.reverse()
        return tokens

    def _wrong(self, reason: str) -> Exception:
        return query_error("$filter", self._text, reason)

    def _peek(self) -> str:
        return self._tokens[-1][0].strip() if self._tokens else ""

    def _next(self) -> re.Match[str]:
        if not self._tokens:
            raise self._wrong("it ends too early")
        return self._tokens.pop()

    def _expect(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._wrong(f"expected {mark!r} before {self._peek()!r}")
        self._next()

    def parse(self) -> Predicate[T]:
        predicate = self._either()
        if self._tokens:
            raise self._wrong(f"{self._peek()!r} is too much")
        return predicate

    def _either(self) -> Predicate[T]:
        parts = [self._both()]
        while self._peek() == "or":
            self._next()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda entity: any(part(entity) for part in parts)

    def _both(self) -> Predicate[T]:
        parts = [self._single()]
        while self._peek() == "and":
            self._next()
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else lambda entity: all(part(entity) for part in parts)

    def _single(self) -> Predicate[T]:
        word = self._peek()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong("it is nested too deeply")
        try:
            if word == "not":
                self._next()
                inner = self._single()
                return lambda entity: not inner(entity)
            if word == "(":
                self._next()
                inner = self._either()
                self._expect(")")
                return inner
            return self._startswith() if word == "startswith" else self._comparison()
        finally:
            self._depth -= 1

    def _startswith(self) -> Predicate[T]:
        self._next()
        self._expect("(")
        read = self._property()
        self._expect(",")
        prefix = self._literal()
        self._expect(")")
        if not isinstance(prefix, str):
            raise self._wrong("startswith needs a text")
        start = prefix.lower()
        return lambda entity: str(read(entity) or "").lower().startswith(start)

    def _comparison(self) -> Predicate[T]:
        read = self._property()
        word = self._next()[0].strip()
        compare = _COMPARISONS.get(word)
        if compare is None:
            raise self._wrong(f"{word!r} is not one of {', '.join(_COMPARISONS)}")
        literal = self._literal()
        if literal is None and word not in ("eq", "ne"):
            raise self._wrong("null can be compared with eq and ne only")
        return _compare(read, compare, literal)

    def _property(self) -> Property[T]:
        name = self._next()["name"]
        found = self._properties.get(name)
        if found is None:
            known = ", ".join(sorted(self._properties))
            raise self._wrong(f"{name!r} is not one of the properties {known}")
        return found

    def _literal(self) -> Value:
        token = self._next()
        if token["date"]:
            return self._moment(token["moment"])
        if token["text"]:
            return token["text"][1:-1].replace("''", "'")
        if token["number"]:
            return int(token["number"])
        word = (token["name"] or "").lower()
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        raise self._wrong(f"{token[0].strip()!r} is not a literal")

    def _moment(self, text: str) -> int:
        try:
            return timestamp_ticks(text)
        except ValueError as error:
            raise self._wrong(str(error)) from error


def _compare(read: Property[T], compare: Callable[[object, object], bool], literal: Value) -> Predicate[T]:
    wanted = literal.lower() if isinstance(literal, str) else literal
    equality = compare in (operator.eq, operator.ne)

    def predicate(entity: T) -> bool:
        value = read(entity)
        found = value.lower() if isinstance(value, str) else value
        if found is None or type(found) is not type(wanted):
            return equality and compare(found, wanted)
        return compare(found, wanted)

    return predicate


def parse_filter(text: str, properties: Mapping[str, Property[T]]) -> Predicate[T]:
    """The predicate that a $filter describes; InvalidQueryParameterValue when it cannot be understood."""
    if len(text) > MAX_LENGTH:
        raise query_error("$filter", text[:50] + "...", f"It is longer than {MAX_LENGTH} characters.")
    return _Parser(text, properties).parse()
