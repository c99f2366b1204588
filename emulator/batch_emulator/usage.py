"""Core hours that pools have used, in intervals of half an hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from batch_emulator.clock import TICKS_PER_SECOND

INTERVAL = 1800 * TICKS_PER_SECOND
KEPT = 100_000
"""Rows that are kept: a hundred pools for three weeks."""


@dataclass(slots=True)
class UsageRow:
    """What one pool used in the interval that starts at `start` (ticks)."""

    pool_id: str
    vm_size: str
    start: int
    core_hours: float = 0.0

    @property
    def end(self) -> int:
        """Where the interval ends."""
        return self.start + INTERVAL


def by_interval(first: int, step: int, number: int) -> Iterator[tuple[int, int]]:
    """How many of `number` moments, `step` ticks apart from `first` on, are in each interval: (its first, how many)."""
    while number > 0:
        left = INTERVAL - first % INTERVAL
        here = min(number, -(-left // step))
        yield first, here
        first, number = first + here * step, number - here


@dataclass(slots=True)
class Usage:
    """All rows, the oldest first."""

    rows: deque[UsageRow] = field(default_factory=lambda: deque(maxlen=KEPT))
    _open: dict[str, UsageRow] = field(default_factory=dict)

    def restore(self, rows: Iterable[UsageRow]) -> None:
        """Go on with rows of before, the oldest first."""
        for row in rows:
            self.rows.append(row)
            self._open[row.pool_id] = row

    def add(self, pool_id: str, vm_size: str, now: int, core_hours: float) -> UsageRow:
        """Count core hours that a pool has used just before `now`; gives the row in which they are."""
        start = now - now % INTERVAL
        row = self._open.get(pool_id)
        if row is None or row.start != start:
            row = UsageRow(pool_id, vm_size, start)
            self._open[pool_id] = row
            self.rows.append(row)
        row.core_hours += core_hours
        return row
