"""Samples of a pool: taken every 30 seconds, kept for a bounded time, read through windows."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_emulator.clock import TICKS_PER_SECOND

PERIOD_SECONDS = 30
PERIOD = PERIOD_SECONDS * TICKS_PER_SECOND
KEPT = 24 * 3600 // PERIOD_SECONDS
"""Samples that are kept: those of one day."""

METRICS = (
    "$CPUPercent",
    "$SampleNodeCount",
    "$ActiveTasks",
    "$RunningTasks",
    "$PendingTasks",
    "$SucceededTasks",
    "$FailedTasks",
    "$CurrentDedicatedNodes",
    "$CurrentLowPriorityNodes",
    "$PreemptedNodeCount",
    "$UsableNodeCount",
)
"""What is measured, in the order of the values of a sample."""

UNMEASURED = (
    "$WallClockSeconds",
    "$MemoryBytes",
    "$DiskBytes",
    "$DiskReadBytes",
    "$DiskWriteBytes",
    "$DiskReadOps",
    "$DiskWriteOps",
    "$NetworkInBytes",
    "$NetworkOutBytes",
)
"""Known, and always without samples: nodes that share one machine have no such numbers of their own."""

_PLACES = {name: place for place, name in enumerate(METRICS)}
METRIC_NAMES: Mapping[str, str] = {
    **{name: name for name in (*METRICS, *UNMEASURED)},
    "$CurrentDedicated": "$CurrentDedicatedNodes",
    "$CurrentLowPriority": "$CurrentLowPriorityNodes",
}
"""What a formula may call a metric -> its full name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The metrics of one moment, as METRICS orders them; None where there is nothing to measure."""

    ticks: int
    values: tuple[float | None, ...]


@dataclass(slots=True)
class History:
    """The samples of one pool, the oldest first."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, sample: Sample) -> None:
        """Add the latest sample; the oldest is dropped when there are too many."""
        self.samples.append(sample)

    def all(self, metric: str) -> list[tuple[int, float]]:
        """(ticks, value) of every sample of a metric, the oldest first."""
        place = _PLACES.get(metric)
        if place is None:
            return []
        found = ((sample.ticks, sample.values[place]) for sample in self.samples)
        return [(ticks, value) for ticks, value in found if value is not None]

    def between(self, metric: str, begin: float, end: float) -> list[float]:
        """The values of a metric after `begin`, up to and with `end`, both in ticks."""
        found = self.all(metric)
        first = bisect_right(found, begin, key=lambda pair: pair[0])
        last = bisect_right(found, end, key=lambda pair: pair[0])
        return [value for _, value in found[first:last]]


def percent(found: int, begin: float, end: float) -> float:
    """How many of the samples that a window should have are there, 0 to 100."""
    wanted = max(1, int((end - begin) // PERIOD))
    return min(100.0, 100.0 * found / wanted)
