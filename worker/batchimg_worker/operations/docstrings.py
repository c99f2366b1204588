"""Reads help out of numpydoc docstrings."""

import inspect
import re
from collections.abc import Callable
from typing import Any

_NAME = re.compile(r"^(\w+)(?: : (.*))?$")
_RULER = re.compile(r"^-{3,}$")


def summary(function: Callable[..., Any]) -> str:
    """The first line."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def notes(function: Callable[..., Any]) -> str:
    """The text between the first line and the parameters, as one paragraph."""
    body = (inspect.getdoc(function) or "").partition("\n")[2].partition("\nParameters\n")[0]
    return " ".join(body.split())


def parameters(function: Callable[..., Any]) -> dict[str, str]:
    """Parameter name to its text, from the section ``Parameters``."""
    found: dict[str, str] = {}
    name = ""
    for line in _section(inspect.getdoc(function) or "", "Parameters"):
        match = _NAME.match(line)
        if match:
            name = match[1]
            found[name] = ""
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def kinds(function: Callable[..., Any]) -> dict[str, str]:
    """Parameter name to the words after its colon: what it can be."""
    lines = _section(inspect.getdoc(function) or "", "Parameters")
    return {match[1]: match[2] or "" for match in map(_NAME.match, lines) if match}


def _section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    if title not in lines:
        return []
    body = lines[lines.index(title) + 2 :]
    for number, line in enumerate(body):
        if _RULER.match(line):
            return body[: number - 1]
    return body
