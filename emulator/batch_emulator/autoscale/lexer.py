"""The words of a formula: numbers, texts, names, and marks; comments and blanks are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batch_emulator.autoscale.problems import SYNTAX, FormulaError, Place

NUMBER, TEXT, NAME, MARK, END = "number", "text", "name", "mark", "end"

_TOKEN = re.compile(
    r"(?P<blank>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$])"
    r"|(?P<name>\$?[A-Za-z_]\w*)"
    r'|(?P<text>"[^"\n]*")'
    r"|(?P<mark>&&|\|\||[<>=!]=|[-+*/<>!=?:;,.()\[\]])",
    re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word; `text` is as written, without the quotes of a text."""

    kind: str
    text: str
    place: Place


def tokens(formula: str) -> Iterator[Token]:
    """All words, and an END; FormulaError where something is no word."""
    line, line_start, at = 1, 0, 0
    while at < len(formula):
        place = Place(line, at - line_start + 1)
        match = _TOKEN.match(formula, at)
        if match is None:
            raise FormulaError(SYNTAX, place, f"Unexpected character {formula[at]!r}")
        word = match.group()
        if match.lastgroup != "blank":
            yield Token(str(match.lastgroup), word.strip('"'), place)
        if "\n" in word:
            line += word.count("\n")
            line_start = at + word.rindex("\n") + 1
        at = match.end()
    yield Token(END, "end of the formula", Place(line, at - line_start + 1))
