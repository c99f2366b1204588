"""The methods of metrics: GetSample and its kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from batch_emulator.autoscale.problems import INSUFFICIENT, FormulaError, Place
from batch_emulator.autoscale.samples import PERIOD, History, percent
from batch_emulator.autoscale.values import Metric, Moment, OperationError, Span, Value, kind


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric, read at one moment (ticks) from one place in a formula."""

    history: History
    now: int
    metric: Metric
    place: Place

    def window(self, first: Value, second: Value | None) -> tuple[float, float]:
        """Begin and end in ticks: two looks back (or moments) in any order, or one and now."""
        times = sorted((self._ticks(first), float(self.now) if second is None else self._ticks(second)))
        return times[0], times[1]

    def _ticks(self, value: Value) -> float:
        if isinstance(value, Moment):
            return float(value.ticks)
        if isinstance(value, Span):
            return self.now - value.ticks
        raise OperationError(f"Expected timestamp or timeinterval, found {kind(value)}")

    def values(self, begin: float, end: float) -> list[float]:
        """The samples of a window."""
        return self.history.between(self.metric.name, begin, end)


def latest(history: History, metric: Metric) -> float | None:
    """The latest sample of a metric."""
    found = history.all(metric.name)
    return found[-1][1] if found else None


def _get_sample(reading: Reading, arguments: Sequence[Value]) -> Value:
    match arguments:
        case [float() as count]:
            return _last(reading, count)
        case [first]:
            return tuple(reading.values(*reading.window(first, None)))
        case [first, float() as wanted]:
            return _enough(reading, reading.window(first, None), wanted)
        case [first, second]:
            return tuple(reading.values(*reading.window(first, second)))
        case [first, second, float() as wanted]:
            return _enough(reading, reading.window(first, second), wanted)
    raise OperationError("GetSample takes a count, or one or two times and a percentage")


def _last(reading: Reading, count: float) -> Value:
    if not (count.is_integer() and count >= 1):
        raise OperationError(f"Expected a positive number of samples, found {count:g}")
    found = reading.history.all(reading.metric.name)
    return tuple(value for _, value in found[-int(min(count, 1e6)) :])


def _enough(reading: Reading, window: tuple[float, float], wanted: float) -> Value:
    values = reading.values(*window)
    found = percent(len(values), *window)
    if found < wanted:
        reason = f"Insufficient data from data set: {reading.metric.name} wanted {wanted:g}%, received {found:.0f}%"
        raise FormulaError(INSUFFICIENT, reading.place, reason)
    return tuple(values)


def _get_sample_percent(reading: Reading, arguments: Sequence[Value]) -> Value:
    if len(arguments) not in (1, 2):
        raise OperationError("GetSamplePercent takes one or two times")
    window = reading.window(arguments[0], arguments[1] if len(arguments) == 2 else None)
    return percent(len(reading.values(*window)), *window)


def _alone(name: str, work: Callable[[Reading], Value]) -> Callable[[Reading, Sequence[Value]], Value]:
    def call(reading: Reading, arguments: Sequence[Value]) -> Value:
        if arguments:
            raise OperationError(f"{name} takes no arguments")
        return work(reading)

    return call


def _begin(reading: Reading) -> Value:
    found = reading.history.all(reading.metric.name)
    if not found:
        raise FormulaError(
            INSUFFICIENT, reading.place, f"Insufficient data from data set: {reading.metric.name} has no sample"
        )
    return Moment(found[0][0])


METHODS: Mapping[str, Callable[[Reading, Sequence[Value]], Value]] = {
    "GetSample": _get_sample,
    "GetSamplePercent": _get_sample_percent,
    "GetSamplePeriod": _alone("GetSamplePeriod", lambda _: Span(float(PERIOD))),
    "Count": _alone("Count", lambda reading: float(len(reading.history.all(reading.metric.name)))),
    "HistoryBeginTime": _alone("HistoryBeginTime", _begin),
}
