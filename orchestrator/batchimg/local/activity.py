"""Telling a stack that is used from one that is not."""

import time
from collections.abc import Callable
from pathlib import Path


class Activity:
    """Measures how long the access logs have not grown and no command has asked for the stack."""

    def __init__(self, logs: tuple[Path, ...], last_use: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._clock = (*logs, last_use), clock
        self._seen = self._look()
        self._since = clock()

    def idle_seconds(self) -> float:
        """Seconds without a request, as far as anybody has looked."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self.refresh()
        return self._clock() - self._since

    def refresh(self) -> None:
        """Something is going on that the logs do not tell: begin to count anew."""
        self._since = self._clock()

    def _look(self) -> tuple[tuple[int, int], ...]:
        return tuple(_size_and_time(file) for file in self._files)


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
