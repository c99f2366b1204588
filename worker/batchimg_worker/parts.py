"""A large original of which only some ranges are fetched: a file on disk of its length, with holes."""

from __future__ import annotations

import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from batchimg_worker.ranged import FETCHERS, Read, open_ranges, pieces_of

KIB = 1 << 10
GAP_BYTES = 256 * KIB
"""Ranges that are nearer than this are fetched as one: what another request takes would bring as much."""


def coalesced(ranges: Iterable[range], gap: int = 0) -> list[range]:
    """The same bytes in order, as few ranges; those at most ``gap`` apart become one."""
    found: list[range] = []
    for one in sorted((one for one in ranges if one), key=lambda one: one.start):
        if found and one.start - found[-1].stop <= gap:
            found[-1] = range(found[-1].start, max(found[-1].stop, one.stop))
        else:
            found.append(one)
    return found


class Parts:
    """An original that is read at any place. Thread-safe; what has not been fetched when it is read is fetched then.

    ``read`` asks blob storage, and what it raises is raised here. Nothing is asked for twice.
    """

    def __init__(self, read: Read, size: int, folder: Path) -> None:
        self._ask, self.size = read, size
        self._file, name = tempfile.mkstemp(dir=folder, prefix="original-")
        self.path = Path(name)
        os.ftruncate(self._file, size)
        self._there: list[range] = []
        self._lock = threading.Lock()

    @property
    def fetched(self) -> int:
        """How many bytes have come."""
        return sum(map(len, self._there))

    def missing(self, ranges: Iterable[range]) -> list[range]:
        """What of these ranges has not come yet, in as few ranges as are worth it."""
        wanted = coalesced((range(one.start, min(one.stop, self.size)) for one in ranges), GAP_BYTES)
        return [gap for one in wanted for gap in self._gaps(one)]

    def _gaps(self, wanted: range) -> Iterator[range]:
        there = self._there
        place, number = wanted.start, max(0, bisect_right(there, wanted.start, key=lambda one: one.start) - 1)
        while place < wanted.stop and number < len(there):
            one = there[number]
            if one.start > place:
                yield range(place, min(one.start, wanted.stop))
            place, number = max(place, one.stop), number + 1
        if place < wanted.stop:
            yield range(place, wanted.stop)

    def fetch(self, ranges: Iterable[range]) -> None:
        """Bring what is missing of these ranges, several pieces at once."""
        with self._lock:
            gaps = self.missing(ranges)
            pieces = [piece for gap in gaps for piece in pieces_of(gap)]
            if len(pieces) > 1:
                with ThreadPoolExecutor(FETCHERS, thread_name_prefix="parts") as pool:
                    _all_of(pool, self._bring, pieces)
            elif pieces:
                self._bring(pieces[0])
            self._there = coalesced([*self._there, *gaps])

    def _bring(self, piece: range) -> None:
        content, place = memoryview(self._ask(piece.start, len(piece))), piece.start
        while content:
            count = os.pwrite(self._file, content, place)
            content, place = content[count:], place + count

    def read(self, start: int, count: int) -> bytes:
        """So many bytes from a place on; fewer where the original ends."""
        wanted = range(start, start + count)
        if any(True for _ in self._gaps(range(start, min(wanted.stop, self.size)))):
            self.fetch([wanted])
        return os.pread(self._file, count, start)

    def open(self) -> IO[bytes]:
        """The original as a file for one thread."""
        return open_ranges(self.read, self.size)

    def unlink(self) -> None:
        """Delete what has come."""
        os.close(self._file)
        self.path.unlink()


def _all_of(pool: ThreadPoolExecutor, function: Callable[[range], None], pieces: list[range]) -> None:
    """Raises the first error, and begins nothing after it."""
    try:
        for _ in pool.map(function, pieces):
            """Each raises what went wrong."""
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


Original = Path | Parts


def opened(original: Original) -> IO[bytes]:
    """An original as a file for one thread."""
    return original.open("rb") if isinstance(original, Path) else original.open()


def place_of(original: Original) -> Path:
    """Its file on disk, which has its length, but maybe not all of its content."""
    return original if isinstance(original, Path) else original.path


@contextmanager
def reading(original: Original) -> Iterator[Read]:
    """Reads at any place, by several threads."""
    if isinstance(original, Parts):
        yield original.read
        return
    with original.open("rb") as file:
        yield partial(_read, file.fileno())


def _read(file: int, start: int, count: int) -> bytes:
    return os.pread(file, count, start)
