"""A file in memory that grows without being copied: in pieces, each as large as the others."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PIECE_BYTES = 1 << 20


class _Seekable(io.RawIOBase):
    """A file with a place in it, which can be any."""

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, not before the beginning."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """The current place."""
        return self._at

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True


class Pieces(_Seekable):
    """Bytes that can be written and read at any place, as a binary file; ``len`` is how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytearray] = []

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytearray | memoryview]:  # type: ignore[override] # the lines of a file elsewhere
        """All bytes, in order, not copied."""
        left = self._size
        for piece in self._pieces:
            yield piece if left >= len(piece) else memoryview(piece)[:left]
            left -= len(piece)

    def taken(self) -> io.BufferedReader:
        """A file that reads them from the beginning, once, and lets go of each piece that was read; none are left."""
        taken = _Taken(self._pieces, self._size)
        self._pieces, self._size = [], 0
        return io.BufferedReader(taken)

    def md5(self) -> bytes:
        """The checksum, 16 bytes."""
        found = hashlib.md5(usedforsecurity=False)
        for piece in self:
            found.update(piece)
        return found.digest()

    def write(self, data: ReadableBuffer) -> int:
        """Put bytes at the current place, all of them."""
        given = memoryview(data).cast("B")
        end = self._at + len(given)
        while len(self._pieces) * PIECE_BYTES < end:
            self._pieces.append(bytearray(PIECE_BYTES))
        for room in self._parts(end):
            room[:] = given[: len(room)]
            given = given[len(room) :]
        self._size = max(self._size, self._at)
        return len(memoryview(data).cast("B"))

    def readinto(self, target: WriteableBuffer) -> int:
        """Fill the target as far as there are bytes; returns how many."""
        room = memoryview(target).cast("B")
        count = max(0, min(len(room), self._size - self._at))
        for part in self._parts(self._at + count):
            room[: len(part)] = part
            room = room[len(part) :]
        return count

    def _parts(self, end: int) -> Iterator[memoryview]:
        """The bytes from the current place on, which moves along."""
        while self._at < end:
            number, first = divmod(self._at, PIECE_BYTES)
            part = memoryview(self._pieces[number])[first : first + end - self._at]
            yield part
            self._at += len(part)

    def writable(self) -> bool:
        """Yes."""
        return True


class _Taken(_Seekable):
    """Reads pieces, whose list gets empty. It can be asked for its length, and not be read twice."""

    def __init__(self, pieces: list[bytearray], size: int) -> None:
        super().__init__(size)
        self._pieces, self._read = pieces, 0
        pieces.reverse()

    def readinto(self, target: WriteableBuffer) -> int:
        """Fill the target as far as the piece goes that is first; returns how many bytes came."""
        if self._at != self._read:
            raise io.UnsupportedOperation(f"byte {self._at} of {self._size} is gone, or not reached yet")
        room = memoryview(target).cast("B")
        first = self._read % PIECE_BYTES
        count = min(len(room), PIECE_BYTES - first, self._size - self._read)
        if count > 0:
            room[:count] = memoryview(self._pieces[-1])[first : first + count]
        self._read = self._at = self._read + count
        if count > 0 and (first + count == PIECE_BYTES or self._read == self._size):
            self._pieces.pop()
        return count
