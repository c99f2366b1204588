"""The functions of the language: name -> what it does with its evaluated arguments."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from batch_emulator.autoscale.values import Moment, OperationError, Value, Vector, kind
from batch_emulator.clock import TICKS_PER_SECOND, UNIX_EPOCH_TICKS
from batch_emulator.durations import timestamp_ticks


@dataclass(frozen=True, slots=True)
class Context:
    """What functions can know beside their arguments."""

    now: int
    random: Callable[[], float]


Function = Callable[[Context, Sequence[Value]], Value]


def flatten(arguments: Sequence[Value]) -> Vector:
    """A doubleVecList as one vector."""
    found: list[float] = []
    for argument in arguments:
        if isinstance(argument, float):
            found.append(argument)
        elif isinstance(argument, tuple):
            found.extend(argument)
        else:
            raise OperationError(f"Expected double or doubleVec, found {kind(argument)}")
    return tuple(found)


def _over(work: Callable[[Vector], float]) -> Function:
    """A function of a doubleVecList that needs at least one value."""

    def call(_: Context, arguments: Sequence[Value]) -> Value:
        values = flatten(arguments)
        if not values:
            raise OperationError("Expected at least one value, found none")
        return float(work(values))

    return call


def _each(work: Callable[[float], float]) -> Function:
    """A function of a double, or of a doubleVecList component by component."""

    def call(_: Context, arguments: Sequence[Value]) -> Value:
        found = tuple(work(value) for value in flatten(arguments))
        if not found:
            raise OperationError("Expected at least one value, found none")
        return found[0] if len(arguments) == 1 and isinstance(arguments[0], float) else found

    return call


def _logarithm(base: Callable[[float], float]) -> Callable[[float], float]:
    def work(value: float) -> float:
        if value > 0:
            return base(value)
        return -math.inf if value == 0 else math.nan

    return work


def _round(value: float) -> float:
    """To the nearest integer, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value) if math.isfinite(value) else value


def _length(_: Context, arguments: Sequence[Value]) -> Value:
    return float(len(flatten(arguments)))


def _sum(_: Context, arguments: Sequence[Value]) -> Value:
    return math.fsum(flatten(arguments))


def _vector(_: Context, arguments: Sequence[Value]) -> Value:
    return flatten(arguments)


def _random(context: Context, arguments: Sequence[Value]) -> Value:
    if arguments:
        raise OperationError("rand takes no arguments")
    return context.random()


def _vector_and_number(arguments: Sequence[Value]) -> tuple[Vector, float]:
    match arguments:
        case [tuple() as vector, float() as number] if vector:
            return vector, number
    raise OperationError("Expected a doubleVec that is not empty, and a double")


def _value_at(_: Context, arguments: Sequence[Value]) -> Value:
    vector, place = _vector_and_number(arguments)
    if not (place.is_integer() and 0 <= place < len(vector)):
        raise OperationError(f"There is no element {place:g} in a doubleVec of {len(vector)}")
    return vector[int(place)]


def _percentile(_: Context, arguments: Sequence[Value]) -> Value:
    """Between the two nearest ranks, in proportion."""
    vector, share = _vector_and_number(arguments)
    if not 0 <= share <= 100:
        raise OperationError(f"Expected a percentile from 0 to 100, found {share:g}")
    ordered = sorted(vector)
    rank = (len(ordered) - 1) * share / 100
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    return low + (high - low) * (rank - math.floor(rank))


def _deviation(values: Vector) -> float:
    if len(values) < 2:
        return 0.0
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _time(context: Context, arguments: Sequence[Value]) -> Value:
    match arguments:
        case [] | [""]:
            return Moment(context.now)
        case [str() as text]:
            return Moment(_ticks(text))
    raise OperationError("Expected one string, or nothing")


_PARTIAL_DATE = re.compile(r"(\d{4})(?:-(\d\d))?")
_MINUTES = re.compile(r"(.*T\d\d:\d\d)(Z|[+-]\d\d:\d\d)?")


def _ticks(text: str) -> int:
    """W3C-DTF (a year, a month, a day, or with a time) or RFC 1123."""
    partial = _PARTIAL_DATE.fullmatch(text)
    if partial:
        text = f"{partial[1]}-{partial[2] or '01'}-01"
    minutes = _MINUTES.fullmatch(text)
    if minutes:
        text = f"{minutes[1]}:00{minutes[2] or ''}"
    try:
        return timestamp_ticks(text)
    except ValueError:
        pass
    try:
        return UNIX_EPOCH_TICKS + int(parsedate_to_datetime(text).timestamp() * TICKS_PER_SECOND)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise OperationError(f"{text!r} is not a time such as 2026-01-31T12:00:00Z") from error


FUNCTIONS: Mapping[str, Function] = {
    "avg": _over(lambda values: math.fsum(values) / len(values)),
    "len": _length,
    "lg": _each(_logarithm(math.log2)),
    "ln": _each(_logarithm(math.log)),
    "log": _each(_logarithm(math.log10)),
    "max": _over(max),
    "min": _over(min),
    "norm": _over(lambda values: math.hypot(*values)),
    "percentile": _percentile,
    "rand": _random,
    "range": _over(lambda values: max(values) - min(values)),
    "round": _each(_round),
    "std": _over(_deviation),
    "sum": _sum,
    "time": _time,
    "val": _value_at,
    "vec": _vector,
}
"""All but stop(), which ends the evaluation."""

STOP = "stop"
