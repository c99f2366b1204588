"""A budget of bytes shared by threads: what keeps a task's memory bounded, whatever the size of its chunk."""

import threading


class ByteBudget:
    """At most ``limit`` bytes are out at a time; a single larger piece passes when nothing else is out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room for ``size`` bytes, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._out == 0 or self._out + size <= self._limit)
            self._out += size

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._out -= size
            self._changed.notify_all()
