"""The values of formulas and what operators do with them.

Numbers are floats, vectors are tuples of floats; points and spans of time count ticks of 100 ns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import timestamp

Vector = tuple[float, ...]

TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
_FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - ticks are UTC
LAST_TICK = 3_155_378_975_999_999_999
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A timestamp."""

    ticks: int


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A timeinterval."""

    ticks: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A read-only variable with samples; only its methods and its latest value can be used."""

    name: str


Value = float | Vector | str | Moment | Span | Metric

_KINDS: dict[type, str] = {
    float: "double",
    tuple: "doubleVec",
    str: "string",
    Moment: "timestamp",
    Span: "timeinterval",
    Metric: "object",
}


class OperationError(Exception):
    """An operator or a function cannot work on the values that it was given."""


def kind(value: Value) -> str:
    """The name of a value's type, as the documentation has it."""
    return _KINDS[type(value)]


def truth(*, holds: bool) -> float:
    """How formulas say true and false."""
    return 1.0 if holds else 0.0


def divide(left: float, right: float) -> float:
    """As IEEE 754 says: by zero it is infinite, or no number."""
    if right:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
}


def _moment(ticks: float) -> Moment:
    if not 0 <= ticks <= LAST_TICK:
        raise OperationError("The time is not between the years 1 and 9999")
    return Moment(int(ticks))


def _vectors(operator: str, left: Value, right: Value) -> Value | None:
    work = _ARITHMETIC[operator]
    match left, right:
        case tuple(), float():
            return tuple(work(item, right) for item in left)
        case tuple(), tuple():
            if len(left) != len(right):
                raise OperationError(f"Vectors of {len(left)} and {len(right)} values do not go together")
            return tuple(work(one, other) for one, other in zip(left, right, strict=True))
    return None


def _times(operator: str, left: Value, right: Value) -> Value | None:
    match operator, left, right:
        case "+" | "-", Span(), Span():
            return Span(_ARITHMETIC[operator](left.ticks, right.ticks))
        case "*", float(), Span():
            return Span(left * right.ticks)
        case "*" | "/", Span(), float():
            return Span(_ARITHMETIC[operator](left.ticks, right))
        case "+", Span(), Moment():
            return _moment(left.ticks + right.ticks)
        case "+" | "-", Moment(), Span():
            return _moment(_ARITHMETIC[operator](left.ticks, right.ticks))
        case "-", Moment(), Moment():
            return Span(float(left.ticks - right.ticks))
    return None


_COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "<": lambda left, right: left < right,  # type: ignore[operator]  # both are of one ordered type
    "<=": lambda left, right: left <= right,  # type: ignore[operator]
    ">": lambda left, right: left > right,  # type: ignore[operator]
    ">=": lambda left, right: left >= right,  # type: ignore[operator]
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
}


def binary(operator: str, left: Value, right: Value) -> Value:
    """left operator right; OperationError for types that do not go together. Not for && and ||."""
    if operator in _COMPARISONS:
        if type(left) is type(right) and isinstance(left, (float, str, Moment, Span)):
            return truth(holds=_COMPARISONS[operator](left, right))
    elif isinstance(left, float) and isinstance(right, float):
        return _ARITHMETIC[operator](left, right)
    else:
        found = _vectors(operator, left, right)
        found = _times(operator, left, right) if found is None else found
        if found is not None:
            return found
    raise OperationError(f"Operator {operator!r} cannot be used on {kind(left)} and {kind(right)}")


def unary(operator: str, value: Value) -> Value:
    """-value or !value."""
    if operator == "!" and isinstance(value, float):
        return truth(holds=value == 0)
    if operator == "-" and isinstance(value, float):
        return -value
    if operator == "-" and isinstance(value, Span):
        return Span(-value.ticks)
    raise OperationError(f"Operator {operator!r} cannot be used on {kind(value)}")


def value_text(value: Value) -> str:
    """A value as `results` of an autoScaleRun shows it."""
    match value:
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case tuple():
            return "[" + ",".join(value_text(item) for item in value) + "]"
        case Moment(ticks):
            return timestamp(ticks)
        case Span(ticks):
            return _span_text(ticks)
        case Metric(name):
            return name
        case _:
            return value


def _span_text(ticks: float) -> str:
    """As .NET writes a TimeSpan: [-][d.]hh:mm:ss[.fffffff]."""
    if not math.isfinite(ticks):
        return repr(ticks)
    days, rest = divmod(abs(int(ticks)), TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    sign = "-" if ticks < 0 else ""
    return f"{sign}{f'{days}.' if days else ''}{clock}{f'.{fraction:07d}' if fraction else ''}"


def moment_part(moment: Moment, name: str) -> float | None:
    """A member of a timestamp in UTC; the week starts with Sunday, which is 0. None if there is none of that name."""
    date = _FIRST + timedelta(microseconds=moment.ticks // 10)
    if name == "weekday":
        return float(date.isoweekday() % 7)
    return float(getattr(date, name)) if name in ("year", "month", "day", "hour", "minute", "second") else None
