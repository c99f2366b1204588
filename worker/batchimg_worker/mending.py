"""Makes files readable that are damaged in ways that have one right answer, without any setting of a library.

Pillow's own switch for truncated files is one for the whole process, and a task has several threads.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass

import tifffile

from batchimg_worker.errors import DecodeError
from batchimg_worker.header import JPEG_SIGNATURE, PNG_SIGNATURE, TIFF_SIGNATURES, Header, png_chunks, tiff_file
from batchimg_worker.quiet import quiet

END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = 0xDA
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Not 0xff, which is padding, and not the restarts, which have no length."""

PLAIN, DEFLATE = 1, (8, 32946)
NUMBERS = "BHIQ"
COPIES = 4  # of a file's bytes, while it is put together
PNG_HEADER = ">IIBBBBB"
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass, and the steps."""


def without_garbage(data: bytes) -> bytes:
    """A JPEG without the bytes that stand between its markers before the first scan, as libjpeg skips them.

    Pillow does not read such a file. Any other file comes back as it is, the same object.
    """
    if data[:3] != JPEG_SIGNATURE:
        return data
    kept, first, place = [], 0, 2
    while True:
        start = _next_marker(data, place)
        if start is None:
            return data  # no scan at all: what it is is for the decoder to say
        if start > place:
            kept.append(data[first:place])
            first = start
        if data[start + 1] == START_OF_SCAN:
            return b"".join([*kept, data[first:]]) if kept else data
        place = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))


def _next_marker(data: bytes, place: int) -> int | None:
    """Where the next marker with a length begins."""
    found = MARKER.search(data, place)
    return found.start() if found and found.end() + 2 <= len(data) else None


def completed(data: bytes, header: Header) -> tuple[bytes, str] | None:
    """A truncated file with something in place of what is missing, and what that is; None where there is no way.

    JPEG and PNG only: what is missing becomes grey or black (transparent, where there is alpha).
    """
    if header.format == "jpeg":
        return data + END_OF_IMAGE, "grey"
    if header.format == "png":
        whole = _completed_png(data)
        return None if whole is None else (whole, "black")
    return None


def extended(data: bytes, limit: int) -> tuple[bytes, str] | None:
    """A truncated WebP or TIFF that can be opened again, and what is in place of what is missing; None: no way.

    Neither may say that it is longer than ``limit`` bytes. What a decoder makes of the zeros is for it to say.
    """
    if data[:4] == b"RIFF":
        return _extended_webp(data, limit)
    if data[:4] in TIFF_SIGNATURES:
        whole = _extended_tiff(data, limit)
        return None if whole is None else (whole, "black")
    return None


def _extended_webp(data: bytes, limit: int) -> tuple[bytes, str] | None:
    """A picture's own chunk filled up with zeros; of an animation the frames that are whole."""
    place, start, frames = 12, 0, 0
    while place + 8 <= len(data):
        start, length = place, int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
        frames += data[start : start + 4] == b"ANMF" and place <= len(data)
    if start == 0 or place > limit // COPIES:
        return None
    rest, missing = data[12:].ljust(place - 12, b"\0"), "made up from what is above it"
    if frames:
        rest, missing = data[12 : start if place > len(data) else place], f"every frame after the first {frames}"
    return b"RIFF" + struct.pack("<I", 4 + len(rest)) + data[8:12] + rest, missing


@dataclass(frozen=True)
class _Strips:
    """Where a TIFF page's strips or tiles lie, and where that is written."""

    places: list[tuple[int, int]]
    tags: tuple[tifffile.TiffTag, tifffile.TiffTag]
    order: str
    compression: int
    bytes_each: int
    rows: tuple[int, int]
    """Of the image, and of a strip; tiles are all of one size."""

    def bytes_of(self, number: int) -> int:
        """The size of a strip without its compression; the last may have fewer rows."""
        rows, each = self.rows
        left = rows - each * (number % -(-rows // each))
        return self.bytes_each // each * min(left, each)

    def write(self, target: bytearray, number: int, place: int, length: int) -> bool:
        """Say in the file that a strip lies elsewhere; length 0 for nowhere. False where its fields are too small."""
        kinds = [self.order + str(tag.dataformat)[-1] for tag in self.tags]
        values = (place, length)
        if any(value >= 1 << 8 * struct.calcsize(kind) for kind, value in zip(kinds, values, strict=True)):
            return False
        for tag, kind, value in zip(self.tags, kinds, values, strict=True):
            struct.pack_into(kind, target, tag.valueoffset + number * struct.calcsize(kind), value)
        return True


def _extended_tiff(data: bytes, limit: int) -> bytes | None:
    """Strips without their end filled up with zeros, or taken out where they cannot: readers see black there.

    None where the directory is missing, or every strip.
    """
    try:
        with quiet(), tiff_file(data) as file:
            strips = _strips(file)
    except Exception:  # noqa: BLE001 - a library may raise anything for a file that is cut
        return None
    patched, there, room = bytearray(data), 0, limit // COPIES
    for number, (start, count) in enumerate(strips.places):
        if start + count <= len(data):
            there += 1
            continue
        size = strips.bytes_of(number)
        whole = _filled_strip(data[start:], size, strips.compression) if start < len(data) and size <= room else b""
        if whole and strips.write(patched, number, len(patched), len(whole)):
            there, room = there + 1, room - size
            patched += whole
        else:
            strips.write(patched, number, 0, 0)
    return bytes(patched) if there else None


def _strips(file: tifffile.TiffFile) -> _Strips:
    page = file.pages.first
    sizes = (*page.chunks, page.bitspersample, page.imagelength, page.rowsperstrip)
    if not all(isinstance(size, int) for size in sizes):
        raise DecodeError("damaged: it has several sizes", "Copy it again.")
    kind = "Tile" if page.is_tiled else "Strip"
    tags = (page.tags[f"{kind}Offsets"], page.tags[f"{kind}ByteCounts"])
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    rows = (1, 1) if page.is_tiled else (page.imagelength, min(page.rowsperstrip, page.imagelength))
    if rows[1] < 1 or any(str(tag.dataformat)[-1] not in NUMBERS or tag.count < len(places) for tag in tags):
        raise DecodeError("damaged: its strips have no size, or no place", "Copy it again.")
    return _Strips(
        places,
        tags,
        file.byteorder,
        int(page.compression),
        math.prod(page.chunks) * page.bitspersample // 8,
        rows,
    )


def _filled_strip(part: bytes, size: int, compression: int) -> bytes:
    """The beginning of a strip with zeros behind it; empty where its compression needs all of it."""
    if compression == PLAIN:
        return part.ljust(size, b"\0")
    if compression not in DEFLATE:
        return b""
    try:
        pixels = zlib.decompressobj().decompress(part, size)
    except zlib.error:
        return b""
    return zlib.compress(pixels.ljust(size, b"\0"), 1) if pixels else b""


def _completed_png(data: bytes) -> bytes | None:
    chunks = list(png_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR":
        return None
    kept = [(kind, data[start : start + length]) for kind, start, length in chunks if kind not in (b"IDAT", b"IEND")]
    packed = b"".join(data[start : start + length] for kind, start, length in chunks if kind == b"IDAT")
    needed = _png_bytes(kept[0][1])
    try:
        pixels = zlib.decompressobj().decompress(packed, needed + 1)
    except zlib.error:
        return None
    if not pixels or len(pixels) > needed:
        return None
    body = zlib.compress(pixels.ljust(needed, b"\0"), 1)
    return PNG_SIGNATURE + b"".join(_chunk(*one) for one in [*kept, (b"IDAT", body), (b"IEND", b"")])


def _png_bytes(body: bytes) -> int:
    """How many bytes the unpacked pixels of a PNG have, a filter's byte for each row included."""
    width, height, bits, kind, _, _, interlaced = struct.unpack(PNG_HEADER, body[:13])
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits * PNG_SAMPLES[kind] + 7) // 8)
    return total


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
