"""Time is injected: a real clock for users, a manual one for tests.

Points in time are *ticks*: 100 ns since the year 1, as the service counts them; its ETags are ticks in hex.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

TICKS_PER_SECOND = 10_000_000
MAX_SCALE = 100_000
UNIX_EPOCH_TICKS = 621_355_968_000_000_000


class Timer(Protocol):
    """A call that is due later and can be called off."""

    def cancel(self) -> None:
        """Call it off; calling off twice, or too late, does nothing."""


class Clock(Protocol):
    """What the emulator knows of time."""

    def ticks(self) -> int:
        """Now; every call gives a larger number than the one before, so ETags never repeat."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `seconds` of the service's time from now."""

    def call_later_real(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `seconds` of the machine's time from now: for what processes do."""

    def not_before(self, ticks: int) -> None:
        """Let time go on from `ticks` if it is not there yet: it never runs backwards over a restart."""


class RealClock:
    """Wall-clock time, or time that runs `scale` times as fast; timers run on the running asyncio loop."""

    def __init__(self, scale: float = 1.0) -> None:
        if not 0 < scale <= MAX_SCALE:
            raise ValueError(f"time scale {scale:g} is not between 0 and {MAX_SCALE}: give a number such as 60")
        self.scale = scale
        self._last = 0
        self._start = time.time_ns()
        self._ahead = 0

    def ticks(self) -> int:
        """Now, in ticks, strictly increasing."""
        passed = time.time_ns()
        if self.scale != 1.0:
            passed = self._start + int((passed - self._start) * self.scale)
        now = UNIX_EPOCH_TICKS + passed // 100 + self._ahead
        self._last = now if now > self._last else self._last + 1
        return self._last

    def not_before(self, ticks: int) -> None:
        """Jump to `ticks` if that is ahead."""
        self._ahead += max(0, ticks - self.ticks())

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the running loop."""
        return asyncio.get_running_loop().call_later(seconds / self.scale, callback)

    def call_later_real(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the running loop, not scaled."""
        return asyncio.get_running_loop().call_later(seconds, callback)


class _ManualTimer:
    __slots__ = ("callback", "due", "order")

    def __init__(self, due: int, order: int, callback: Callable[[], None]) -> None:
        self.due = due
        self.order = order
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: _ManualTimer) -> bool:
        return (self.due, self.order) < (other.due, other.order)


class ManualClock:
    """Time that moves only when `advance` is called."""

    def __init__(self, start: int = UNIX_EPOCH_TICKS + 1_700_000_000 * TICKS_PER_SECOND) -> None:
        self._now = start
        self._order = 0
        self._timers: list[_ManualTimer] = []

    def ticks(self) -> int:
        """Now, in ticks; each look moves time by one tick, so ETags never repeat."""
        self._now += 1
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` when `advance` passes that moment."""
        self._order += 1
        timer = _ManualTimer(self._now + int(seconds * TICKS_PER_SECOND), self._order, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later_real(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """As `call_later`: by hand there is one time only."""
        return self.call_later(seconds, callback)

    def not_before(self, ticks: int) -> None:
        """Jump to `ticks` if that is ahead; nothing falls due."""
        self._now = max(self._now, ticks)

    def advance(self, seconds: float = 0.0) -> None:
        """Move time forward and run what falls due, in order, including what that work adds."""
        end = self._now + int(seconds * TICKS_PER_SECOND) + 1
        while self._timers and self._timers[0].due <= max(end, self._now):
            timer = heapq.heappop(self._timers)
            self._now = max(self._now, timer.due)
            if timer.callback is not None:
                timer.callback()
        self._now = max(self._now, end)
