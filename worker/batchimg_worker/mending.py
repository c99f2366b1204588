"""Makes files readable that are damaged in ways that have one right answer, without any setting of a library.

Pillow's own switch for truncated files is one for the whole process, and a task has several threads.
"""

from __future__ import annotations

import re
import struct
import zlib

from batchimg_worker.header import JPEG_SIGNATURE, PNG_SIGNATURE, Header, png_chunks

END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = 0xDA
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Not 0xff, which is padding, and not the restarts, which have no length."""

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
    clean, place = bytearray(data[:2]), 2
    while True:
        start = _next_marker(data, place)
        if start is None:
            return data  # no scan at all: what it is is for the decoder to say
        if data[start + 1] == START_OF_SCAN:
            clean += data[start:]
            return bytes(clean) if len(clean) < len(data) else data
        place = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        clean += data[start:place]


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
