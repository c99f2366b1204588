"""Takes files apart into what their format is made of, and puts such parts together again."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

PNG, JPEG, RIFF, GIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"GIF8"
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class Part:
    """A segment, a chunk, a box; ``kind`` and ``body`` without its length, which is ``length`` where that is a lie."""

    kind: bytes
    body: bytes
    length: int | None = None
    whole_sum: bool = True
    """Whether a PNG's chunk gets the checksum that belongs to it."""


@dataclass(frozen=True)
class Parts:
    """A file's beginning, its parts, and how they are written."""

    head: bytes
    parts: tuple[Part, ...]
    write: Callable[[Part], bytes]

    def joined(self) -> bytes:
        body = b"".join(map(self.write, self.parts))
        if self.head[:4] == RIFF:
            return RIFF + struct.pack("<I", (4 + len(body)) & 0xFFFFFFFF) + self.head[8:] + body
        return self.head + body

    def but(self, parts: list[Part]) -> "Parts":
        return replace(self, parts=tuple(parts))


def taken_apart(data: bytes) -> Parts | None:
    """None for a file that is not made of parts, or of which nothing can be seen."""
    for beginning, split in ((PNG, _png), (JPEG, _jpeg), (RIFF, _riff), (GIF, _gif)):
        if data.startswith(beginning):
            return split(data)
    return _boxes(data) if data[4:8] == b"ftyp" else None


def _png(data: bytes) -> Parts:
    parts, place = [], len(PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        parts.append(Part(data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return Parts(PNG, tuple(parts), _png_chunk)


def _png_chunk(part: Part) -> bytes:
    right = zlib.crc32(part.kind + part.body)
    length = len(part.body) if part.length is None else part.length
    return (
        struct.pack(">I", length & 0xFFFFFFFF) + part.kind + part.body + struct.pack(">I", right ^ (not part.whole_sum))
    )


def _jpeg(data: bytes) -> Parts:
    """Segments; what follows the header of a scan, up to the next marker, is a part without a kind."""
    parts, place = [], 2
    while place + 4 <= len(data):
        if data[place] != 0xFF or data[place + 1] in (0, *range(0xD0, 0xDA)):
            end = _next_marker(data, place + 1)
            parts.append(Part(b"", data[place:end]))
            place = end
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        parts.append(Part(data[place : place + 2], data[place + 4 : place + 2 + length]))
        place += 2 + max(2, length)
    return Parts(JPEG, (*parts, Part(b"", data[place:])), _jpeg_segment)


def _next_marker(data: bytes, place: int) -> int:
    while 0 <= (place := data.find(b"\xff", place)) < len(data) - 1:
        if data[place + 1] not in (0, 0xFF, *range(0xD0, 0xD8)):
            return place
        place += 1
    return len(data)


def _jpeg_segment(part: Part) -> bytes:
    if not part.kind:
        return part.body
    length = len(part.body) + 2 if part.length is None else part.length
    return part.kind + struct.pack(">H", length & 0xFFFF) + part.body


def _riff(data: bytes) -> Parts:
    parts, place = [], 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        parts.append(Part(data[place : place + 4], data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    return Parts(data[:12], tuple(parts), _riff_chunk)


def _riff_chunk(part: Part) -> bytes:
    length = len(part.body) if part.length is None else part.length
    return part.kind + struct.pack("<I", length & 0xFFFFFFFF) + part.body + bytes(len(part.body) % 2)


def _gif(data: bytes) -> Parts:
    """Blocks: an extension, or an image with its own header as the kind."""
    head = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    parts, place = [], head
    while place < len(data) and data[place] in (0x21, 0x2C):
        start = place + 2
        if data[place] == 0x2C:
            flags = data[place + 9] if place + 9 < len(data) else 0
            start = place + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        end = start
        while end < len(data) and data[end]:
            end += 1 + data[end]
        parts.append(Part(data[place:start], data[start : end + 1]))
        place = end + 1
    return Parts(data[:head], (*parts, Part(data[place:], b"")), lambda part: part.kind + part.body)


def _boxes(data: bytes) -> Parts:
    parts, place = [], 0
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if length < 8:
            break
        parts.append(Part(data[place + 4 : place + 8], data[place + 8 : place + length]))
        place += length
    return Parts(b"", tuple(parts), _box)


def _box(part: Part) -> bytes:
    length = len(part.body) + 8 if part.length is None else part.length
    return struct.pack(">I", length & 0xFFFFFFFF) + part.kind + part.body


@dataclass(frozen=True)
class Entry:
    """A field of a TIFF's directory, where it lies, and where its value does."""

    place: int
    kind: int
    count: int
    value_place: int
    big: bool


@dataclass(frozen=True)
class Directory:
    """A TIFF's directory: its fields, and where the place of the next one is written."""

    place: int
    entries: tuple[Entry, ...]
    next_place: int


def directories(data: bytes) -> tuple[str, bool, list[Directory]]:
    """The byte order, whether it is a BigTIFF, and all directories that follow one another."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    width, entry, head = ("Q", 20, 8) if big else ("I", 12, 2)
    place = struct.unpack_from(order + width, data, 8 if big else 4)[0]
    found: list[Directory] = []
    while place and place + head < len(data) and place not in [other.place for other in found]:
        number = struct.unpack_from(order + ("Q" if big else "H"), data, place)[0]
        end = place + head + number * entry
        if end + struct.calcsize(width) > len(data):
            break
        fields = [_entry(data, place + head + index * entry, order, big=big) for index in range(number)]
        found.append(Directory(place, tuple(fields), end))
        place = struct.unpack_from(order + width, data, end)[0]
    return order, big, found


def _entry(data: bytes, place: int, order: str, *, big: bool) -> Entry:
    _, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, place)
    at = place + (12 if big else 8)
    size = TIFF_SIZES.get(kind, 1) * count
    if size > (8 if big else 4):
        at = struct.unpack_from(order + ("Q" if big else "I"), data, at)[0]
    return Entry(place, kind, count, at, big)
