"""A blob as a file that can be read at any place: of a huge original its header alone is wanted. And all of a blob, in
pieces that come side by side.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchimg_worker.storage import Container

HEADER_BYTES = 256 << 10
PIECE_BYTES = 4 << 20
FETCHERS = 6
"""Pieces that are on their way at once: together what a queue of originals may hold anyway."""

Read = Callable[[int, int], bytes]
"""So many bytes (the second number) from a place on."""


class _Ranges(io.RawIOBase):
    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size, self._place = read, size, 0

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
        content = self._read(self._place, count)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def open_ranges(read: Read, size: int) -> io.BufferedReader:
    """What ``read`` gives of so many bytes, as a file; its reads raise what ``read`` raises."""
    return io.BufferedReader(_Ranges(read, size), HEADER_BYTES)


def open_blob(container: Container, path: str, size: int) -> io.BufferedReader:
    """A blob of this size, for reading; each read may raise StorageError."""
    return open_ranges(partial(container.read_range, path), size)


def pieces_of(whole: range) -> Iterator[range]:
    """A range of bytes in pieces."""
    return (range(start, min(start + PIECE_BYTES, whole.stop)) for start in range(whole.start, whole.stop, PIECE_BYTES))


def read_ahead(read: Read, size: int) -> Iterator[bytes]:
    """All of so many bytes in their order, while those that follow are on their way."""
    coming: deque[Future[bytes]] = deque()
    pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix="read")
    try:
        for piece in pieces_of(range(size)):
            if len(coming) >= FETCHERS:
                yield coming.popleft().result()
            coming.append(pool.submit(read, piece.start, len(piece)))
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
