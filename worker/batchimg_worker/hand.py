"""The image in hand, in memory that two processes share: what a worker was at when it died."""

import mmap
import struct
from collections.abc import Callable

SIZE = 8192
_HEAD = struct.Struct("=qqdq")  # images begun, length of the path, limits: seconds and bytes; 0 for none


class Hand:
    """Written by the worker for each image (less than a microsecond), read by the guard, its parent."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, SIZE)
        self._limits = (0.0, 0)
        self._begun = 0
        self.before: Callable[[str], None] | None = None  # called with each image before it is taken

    def take(self, path: str) -> None:
        """Work on an image begins."""
        if self.before is not None:
            self.before(path)
        name = path.encode()[: SIZE - _HEAD.size]
        self._page[_HEAD.size : _HEAD.size + len(name)] = name
        self._begun += 1
        self._write(len(name))

    def lay_down(self) -> None:
        """Work on the image has ended, whatever became of it."""
        self._write(0)

    def clear(self) -> None:
        """Forget everything, before another worker begins."""
        self._begun, self._limits = 0, (0.0, 0)
        self._write(0)

    def limit(self, seconds: float | None, memory_bytes: int) -> None:
        """What the guard may let an image take."""
        self._limits = (seconds or 0.0, memory_bytes)
        self._write(0)

    def _write(self, length: int) -> None:
        _HEAD.pack_into(self._page, 0, self._begun, length, *self._limits)

    @property
    def path(self) -> str | None:
        """The image in hand, None between two images."""
        length: int = _HEAD.unpack_from(self._page)[1]
        return bytes(self._page[_HEAD.size : _HEAD.size + length]).decode(errors="replace") if length else None

    @property
    def begun(self) -> int:
        """How many images were begun: it changes with the image in hand."""
        return int(_HEAD.unpack_from(self._page)[0])

    @property
    def seconds(self) -> float:
        """The most that an image may take; 0 for no limit."""
        return float(_HEAD.unpack_from(self._page)[2])

    @property
    def memory_bytes(self) -> int:
        """The most that the worker may hold; 0 for no limit."""
        return int(_HEAD.unpack_from(self._page)[3])
