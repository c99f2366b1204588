"""How far the frames of a GIF reach, before Pillow makes room for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batchimg_worker.header import BYTE_BITS, Header

EXTENSION, FRAME, END = 0x21, 0x2C, 0x3B
COMMENT = 0xFE
SCREEN = 13
FRAME_HEAD = 9
LARGE_PIXELS = 16_000_000


def with_every_frame(header: Header, data: bytes) -> Header:
    """The header of a GIF, with the sides that Pillow gives all of its frames: a frame may reach beyond the first."""
    width, height = header.width, header.height
    for right, bottom in _extents(data):
        width, height = max(width, right), max(height, bottom)
    return replace(header, width=width, height=height)


def header_of_large(data: bytes) -> Header | None:
    """The header of a GIF that takes Pillow much memory only to open; None for all others.

    Pillow makes room for the first frame before it says how large it is. Channels are the most that there can be.
    """
    extents = list(_extents(data))
    right, bottom = extents[0] if extents else (0, 0)
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    width, height = max(width, right), max(height, bottom)
    if width * height <= LARGE_PIXELS:
        return None
    return Header("gif", width, height, 4, BYTE_BITS, "P", frames=max(1, len(extents)))


def _extents(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each frame ends, in pixels. What is no block is skipped byte by byte, as Pillow does."""
    place = SCREEN + _palette_bytes(data, SCREEN - 3)
    while place < len(data) and data[place] != END:
        if data[place] == EXTENSION:
            comment = data[place + 1 : place + 2] == bytes([COMMENT])
            # Pillow takes an empty first block of other extensions for one with something behind it
            place += 2 if comment or data[place + 2 : place + 3] != b"\0" else 3
            place = _after_blocks(data, place)
        elif data[place] == FRAME:
            left, top, width, height = (
                int.from_bytes(data[at : at + 2], "little") for at in range(place + 1, place + FRAME_HEAD, 2)
            )
            yield left + width, top + height
            place += 1 + FRAME_HEAD + _palette_bytes(data, place + FRAME_HEAD)
            place = _after_blocks(data, place + 1)
        else:
            place += 1


def _palette_bytes(data: bytes, place: int) -> int:
    """The size of the palette that the flags at a place announce."""
    flags = data[place] if place < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    """Behind the blocks that begin here, and the empty one that ends them."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1
