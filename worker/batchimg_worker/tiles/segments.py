"""The strips or tiles of a TIFF page: which of them a region needs, where they lie in the file, and their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from batchimg_worker.header import BYTE_BITS
from batchimg_worker.operations import Region
from batchimg_worker.operations.arrays import Image
from batchimg_worker.ranged import Read

PIECE_BYTES = 8 << 20
WORKERS = 2
UNCOMPRESSED = 1


def rows_at_a_time(page: tifffile.TiffPage) -> int:
    """How many rows are read at a time."""
    if _is_plain(page):
        row = page.imagewidth * page.samplesperpixel * max(1, page.bitspersample // BYTE_BITS)
        return max(1, PIECE_BYTES // row)
    return int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))


def byte_ranges(page: tifffile.TiffPage, region: Region) -> Iterator[range]:
    """Where what `read_bands` reads of a page lies in the file."""
    if _is_plain(page):
        for part in _plain_parts(page, range(region.top, region.bottom)):
            for offset in part.offsets:
                yield range(offset, offset + part.bytes)
        return
    for number in _numbers(page, region):
        for _, _, index in _segments(page, number, region):
            offset = page.dataoffsets[index]
            yield range(offset, offset + page.databytecounts[index])


def read_bands(page: tifffile.TiffPage, read: Read, region: Region) -> Iterator[Image]:
    """The rows of a region from top to bottom, as many at a time as `rows_at_a_time`, at most.

    Rows are as wide as the page: beyond the region's columns there may be zeros.
    """
    return _plain_bands(page, read, region) if _is_plain(page) else _decoded_bands(page, read, region)


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether any rows can be read as they lie in the file."""
    packed = page.dtype is None or page.bitspersample != BYTE_BITS * page.dtype.itemsize
    return int(page.compression) == UNCOMPRESSED and not (page.is_tiled or packed) and page.fillorder == 1


def _planes(page: tifffile.TiffPage) -> int:
    """1 where the channels of a pixel lie side by side."""
    return 1 if int(page.planarconfig) == 1 else int(page.samplesperpixel)


@dataclass(frozen=True)
class _Plain:
    """Some rows of a strip: where they lie, in each plane, and how many bytes they are there."""

    offsets: list[int]
    rows: int
    bytes: int


def _plain_parts(page: tifffile.TiffPage, rows: range) -> Iterator[_Plain]:
    planes = _planes(page)
    row = page.imagewidth * (page.samplesperpixel // planes) * np.dtype(page.dtype).itemsize
    rows_each = min(page.rowsperstrip, page.imagelength)
    strips = -(-page.imagelength // rows_each)
    step = rows_at_a_time(page)
    for strip in range(rows.start // rows_each, -(-rows.stop // rows_each) if rows else 0):
        top = strip * rows_each
        end = min(top + rows_each, page.imagelength, rows.stop)
        for first in range(max(top, rows.start), end, step):
            offsets = [page.dataoffsets[plane * strips + strip] + (first - top) * row for plane in range(planes)]
            count = min(step, end - first)
            yield _Plain(offsets, count, count * row)


def _plain_bands(page: tifffile.TiffPage, read: Read, region: Region) -> Iterator[Image]:
    native: np.dtype[Any] = np.dtype(page.dtype)
    dtype = native.newbyteorder(page.parent.byteorder)
    for part in _plain_parts(page, range(region.top, region.bottom)):
        planes = [np.frombuffer(_exactly(read, offset, part.bytes), dtype) for offset in part.offsets]
        shaped = [plane.reshape(part.rows, page.imagewidth, -1) for plane in planes]
        band = shaped[0] if len(shaped) == 1 else np.concatenate(shaped, axis=2)
        yield band.astype(native, copy=False)


def _exactly(read: Read, offset: int, count: int) -> bytes:
    data = read(offset, count)
    if len(data) < count:
        raise EOFError("truncated")
    return data


def _wide(page: tifffile.TiffPage) -> int:
    return int(page.tilewidth if page.is_tiled else page.imagewidth)


def _numbers(page: tifffile.TiffPage, region: Region) -> range:
    """The rows of tiles, or the strips, that a region touches."""
    high = rows_at_a_time(page)
    return range(region.top // high, -(-region.bottom // high) if region.bottom > region.top else 0)


def _segments(page: tifffile.TiffPage, number: int, region: Region) -> Iterator[tuple[int, int, int]]:
    """Plane, column and index of each segment of a row of tiles, or of a strip, that a region touches."""
    high, wide, planes = rows_at_a_time(page), _wide(page), _planes(page)
    across, down = -(-page.imagewidth // wide), -(-page.imagelength // high)
    for plane in range(planes):
        for column in range(region.left // wide, -(-region.right // wide)):
            yield plane, column, (plane * down + number) * across + column


def _decoded_bands(page: tifffile.TiffPage, read: Read, region: Region) -> Iterator[Image]:
    """A row of tiles, or a strip, at a time; several are decoded side by side. What is not wanted is not read."""
    high, wide = rows_at_a_time(page), _wide(page)
    samples = page.samplesperpixel // _planes(page)

    def segment(index: int) -> Image | None:
        count = page.databytecounts[index]
        data = _exactly(read, page.dataoffsets[index], count) if count else None
        decoded: Image | None = page.decode(data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0]
        return decoded

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="decode") as pool:
        for number in _numbers(page, region):
            top = number * high
            rows = min(high, page.imagelength - top)
            band = np.zeros((rows, page.imagewidth, page.samplesperpixel), page.dtype)
            places = list(_segments(page, number, region))
            decoded_ones = pool.map(segment, (index for _, _, index in places))
            for (plane, column, _), decoded in zip(places, decoded_ones, strict=True):
                if decoded is not None:
                    part = band[:, column * wide : (column + 1) * wide, plane * samples : (plane + 1) * samples]
                    part[...] = decoded[0, : part.shape[0], : part.shape[1]]
            yield band[max(0, region.top - top) : region.bottom - top]
