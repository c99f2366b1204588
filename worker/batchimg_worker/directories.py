"""The directories of a TIFF, looked at before a library reads them.

A directory that is damaged may name the same bytes thousands of times, each time as other numbers: a small file that
keeps a reader busy for minutes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from batchimg_worker.errors import DecodeError

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Of each type of TIFF 6.0, of its supplements and of BigTIFF."""

MOST_FIELDS = 4096
SHARED = 2
"""How often, on the average, a byte of the file may be part of a value: a few programs let fields share one."""


@dataclass(frozen=True)
class _Kind:
    """Of a classic TIFF, or of a BigTIFF: where the first directory's place is written, and how numbers are."""

    first: int
    count: str
    field: str
    place: str


_CLASSIC, _BIG = _Kind(4, "H", "HHII", "I"), _Kind(8, "Q", "HHQQ", "Q")


class Readable(Protocol):
    """A file in memory or on disk, or tifffile's own kind of one."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""


def check(file: Readable) -> None:
    """Raise DecodeError where the first directory names more than the whole file holds."""
    length = file.seek(0, os.SEEK_END)
    for found in _directories(file, length):
        _check(found, length, "its directory")
        return


def check_every(file: Readable) -> None:
    """As `check`, for all directories; also raise where they go round in a circle."""
    length = file.seek(0, os.SEEK_END)
    for number, found in enumerate(_directories(file, length), start=1):
        _check(found, length, f"the directory of page {number}")
        if found.goes_back:
            raise DecodeError(
                f"damaged: page {number} is followed by one that was there before", "Copy the file again."
            )


def in_circle(file: Readable) -> int:
    """How many pages there are until one follows that was there before; 0 where none does."""
    length = file.seek(0, os.SEEK_END)
    return next((number for number, one in enumerate(_directories(file, length), start=1) if one.goes_back), 0)


def _check(found: _Directory, length: int, words: str) -> None:
    if found.named > SHARED * length:
        raise DecodeError(f"damaged: {words} names more than the file holds", "Copy the file again.")


@dataclass(frozen=True)
class _Directory:
    """``named`` is how many bytes its fields name elsewhere, ``goes_back`` whether it is followed by an earlier one."""

    named: int
    goes_back: bool


def _directories(file: Readable, length: int) -> Iterator[_Directory]:
    """Each once, in their order."""
    file.seek(0)
    head = file.read(16).ljust(16, b"\0")
    order, kind = "<" if head[:2] == b"II" else ">", _BIG if b"+" in head[:4] else _CLASSIC
    place = struct.unpack_from(order + kind.place, head, kind.first)[0]
    inside, seen = struct.calcsize(kind.place), set[int]()
    while 0 < place < length and place not in seen:
        seen.add(place)
        file.seek(place)
        number = _number(file, order + kind.count)
        if number > MOST_FIELDS:
            return  # every reader refuses this one
        fields = file.read(number * struct.calcsize(order + kind.field))
        if len(fields) < number * struct.calcsize(order + kind.field):
            return
        found = (
            (VALUE_BYTES.get(of, 1) * count, at) for _, of, count, at in struct.iter_unpack(order + kind.field, fields)
        )
        place = _number(file, order + kind.place)
        yield _Directory(sum(size for size, at in found if size > inside and at + size <= length), place in seen)


def _number(file: Readable, kind: str) -> int:
    read = file.read(struct.calcsize(kind))
    return int(struct.unpack(kind, read.ljust(struct.calcsize(kind), b"\0"))[0])
