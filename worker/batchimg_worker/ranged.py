"""A blob as a file that can be read at any place: of a huge original its header alone is wanted."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchimg_worker.storage import Container

PIECE_BYTES = 256 << 10


class _Ranges(io.RawIOBase):
    def __init__(self, container: Container, path: str, size: int) -> None:
        self._container, self._path, self._size, self._place = container, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # any buffer is a memoryview's source
        count = min(len(buffer), self._size - self._place)
        if count <= 0:
            return 0
        content = self._container.read_range(self._path, self._place, count)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def open_blob(container: Container, path: str, size: int) -> io.BufferedReader:
    """A blob of this size, for reading; each read may raise StorageError."""
    return io.BufferedReader(_Ranges(container, path, size), PIECE_BYTES)
