"""Reads an original into a `Store`, a band of rows at a time.

TIFF (classic, BigTIFF, OME; strips and tiles) by tifffile, JPEG and PNG by libvips, row by row: it gives the same
pixels as the readers of `batchimg_worker.decoding`, and tests say so.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from PIL import Image as PillowImage

from batchimg_worker import directories
from batchimg_worker.errors import DecodeError, ImageError, StorageError
from batchimg_worker.header import (
    BYTE_BITS,
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    TIFF_SIGNATURES,
    Header,
    inspect,
    jpeg_segments,
    tiff_header,
    unreadable,
)
from batchimg_worker.operations import Region
from batchimg_worker.parts import Original, Parts, opened, place_of, reading
from batchimg_worker.quiet import quiet
from batchimg_worker.tiles.colours import Colours, colours_of
from batchimg_worker.tiles.files import room_on_disk
from batchimg_worker.tiles.segments import PIECE_BYTES, read_bands, rows_at_a_time
from batchimg_worker.tiles.store import TYPES, Buffer, Growing, Store, Window, bytes_of

MIB = 1 << 20
HEAD_BYTES = 16 * MIB
"""What is read of a JPEG or PNG to find its header: profiles and previews may stand before it."""

VIPS_BYTES = 48 * MIB
"""What libvips holds while it reads row by row, measured."""

PROGRESSIVE = 0xC2
COEFFICIENT_BYTES = 2
INTERLACED = 28
"""The byte of a PNG that says so."""

PNG_PIXELS = (b"IDAT", b"PLTE")
SHORT_BITS = 16

Append = Callable[[Buffer], int]


@dataclass(frozen=True)
class Look:
    """What a file says of itself. ``value_bytes`` is the size of a value in its `Store`, ``held`` the memory that
    reading it in parts takes, and ``refusal`` why that cannot be, empty where it can.
    """

    header: Header
    value_bytes: int
    held: int = VIPS_BYTES
    refusal: str = ""
    sparing: bool = False
    """Whether nothing is read of it but what results need; else all of it, so that damage is noticed."""


@dataclass(frozen=True)
class Decoded:
    """An original on its way into its store; not turned upright yet."""

    store: Growing
    icc_profile: bytes | None
    notes: tuple[str, ...]


def look(original: Original) -> Look:
    """Read the header of a file. Raises DecodeError."""
    with opened(original) as file:
        seen = look_at(file, place_of(original).stat().st_size)
    return replace(seen, sparing=isinstance(original, Parts))


def look_at(file: IO[bytes], size: int, head_bytes: int = HEAD_BYTES) -> Look:
    """As `look`, of a file that is open at its beginning; so many bytes are read there."""
    start = file.read(len(PNG_SIGNATURE))
    if start[:4] in TIFF_SIGNATURES:
        try:
            file.seek(0)
            directories.check(file)
            file.seek(0)
            with quiet(), tifffile.TiffFile(file) as opened:
                return _look_at_tiff(opened, size)
        except (ImageError, StorageError):
            raise
        except Exception as error:
            raise unreadable(start, error, size) from error
    head = start + file.read(head_bytes)
    streamed = head[:3] == JPEG_SIGNATURE or head[:8] == PNG_SIGNATURE
    header = inspect(head if streamed or size <= len(head) else head + file.read())
    value_bytes = 1 if header.bits <= BYTE_BITS else 2
    if head[:3] == JPEG_SIGNATURE:
        return Look(header, value_bytes, *_jpeg_needs(head, header))
    if head[:8] == PNG_SIGNATURE:
        return Look(header, value_bytes, VIPS_BYTES + (header.decoded_bytes if head[INTERLACED] else 0))
    return Look(header, value_bytes, 0, f"{header.format} files cannot; write it as TIFF, PNG or JPEG first")


def _jpeg_needs(head: bytes, header: Header) -> tuple[int, str]:
    if header.bits != BYTE_BITS or header.mode not in ("RGB", "L"):
        return 0, f"JPEG files of kind {header.mode} cannot; write it as RGB first"
    progressive = any(marker == PROGRESSIVE for marker, _ in jpeg_segments(head))
    coefficients = header.width * header.height * header.channels * COEFFICIENT_BYTES
    return VIPS_BYTES + (coefficients if progressive else 0), ""


def _look_at_tiff(file: tifffile.TiffFile, length: int) -> Look:
    header, page = tiff_header(file, length), file.pages.first
    short = page.dtype is not None and page.dtype.kind in "ub" and header.bits <= SHORT_BITS
    value_bytes = (1 if header.bits <= BYTE_BITS else 2) if short else 4
    colours = colours_of(page)
    if colours is None:
        kind = f"TIFF files of {header.bits} bits and colours {header.mode} cannot"
        return Look(header, value_bytes, 0, f"{kind}; write it as grey or RGB of 8 bits or more first")
    if page.imagedepth != 1:
        return Look(header, value_bytes, 0, "a volume cannot; write each layer as an image of its own")
    band = (
        min(rows_at_a_time(page), header.height)
        * header.width
        * page.samplesperpixel
        * max(1, header.bits // BYTE_BITS)
    )
    seen = Header(**{**_fields(header), "channels": colours.channels})
    return Look(seen, value_bytes, 4 * band + PIECE_BYTES)


def _fields(header: Header) -> dict[str, Any]:
    return dict(vars(header))


def decode(original: Original, seen: Look, target: Path | int, extent: Region) -> Decoded:
    """Begin to read this part of the first page or frame into a new file ``target``, or through a window of so many
    rows.

    Raises DecodeError, now or in its reads.
    """
    header, path = seen.header, place_of(original)
    with _told(path):
        if header.format == "tiff":
            with opened(original) as content, tifffile.TiffFile(content) as file:
                page = file.pages.first
                pixel = np.zeros((1, 1, page.samplesperpixel), page.dtype)
                colours = _colours(page)
                notes = colours.of_rows(pixel)[1]
                store = _growing(seen, target, extent, partial(_fill, partial(_tiff, original), path, extent))
                return Decoded(store, colours.icc_profile, notes)
        if header.format == "png":
            _check_sums(path)
        with PillowImage.open(path) as image:
            profile = image.info.get("icc_profile")
        read = partial(_by_vips, header, path)
        return Decoded(_growing(seen, target, extent, partial(_fill, read, path, extent)), profile, ())


def _colours(page: tifffile.TiffPage) -> Colours:
    found = colours_of(page)
    if found is None:
        raise DecodeError("has colours that cannot be read in parts", "Write it as grey or RGB first.")
    return found


def _growing(seen: Look, target: Path | int, extent: Region, fill: Callable[[Append], None]) -> Growing:
    shape = (seen.header.height, extent.width, seen.header.channels)
    dtype = np.dtype(TYPES[seen.value_bytes])
    store = Window(target, shape, dtype) if isinstance(target, int) else Store(target, shape, dtype)
    return Growing(store, seen.header.width, extent, fill if extent.height else lambda _: None)


def _fill(read: Callable[[Region, Append], None], path: Path, extent: Region, append: Append) -> None:
    with _told(path):
        read(extent, append)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        with quiet(), room_on_disk(path.parent):
            yield
    except (ImageError, StorageError):
        raise
    except Exception as error:
        raise unreadable(b"", error, path.stat().st_size) from error


def _tiff(original: Original, extent: Region, append: Append) -> None:
    with opened(original) as content, tifffile.TiffFile(content) as file, reading(original) as read:
        page = file.pages.first
        colours = _colours(page)
        for band in read_bands(page, read, extent):
            append(bytes_of(colours.of_rows(band[:, extent.left : extent.right])[0]))


def _by_vips(header: Header, path: Path, extent: Region, append: Append) -> None:
    import pyvips

    pyvips.cache_set_max(0)
    load = pyvips.Image.pngload if header.format == "png" else pyvips.Image.jpegload
    try:
        image = load(str(path), access="sequential", fail_on="truncated", unlimited=True)
        found = (image.height, image.width, image.bands)
        if found != (header.height, header.width, header.channels):
            raise DecodeError(f"is read as {found} pixels and channels", "Please report it, with the file.")
        if extent.height < header.height:
            image = image.crop(0, extent.top, header.width, extent.height)
        target = pyvips.TargetCustom()
        target.on_write(append)
        image.rawsave_target(target)
    except pyvips.Error as error:
        raise _of_vips(error) from None


def _of_vips(error: Exception) -> DecodeError:
    text = " ".join(str(error).split())
    if "premature end" in text or "read error" in text:
        return DecodeError("truncated: the file ends before its last pixels", "Copy it again.")
    return DecodeError(f"damaged: {text[-120:]}", "Open it in another program; if that works too, please report it.")


def _check_sums(path: Path) -> None:
    """As `decoding.read` does for a PNG: wrong pixels show in its checksums only."""
    with path.open("rb") as file:
        file.seek(len(PNG_SIGNATURE))
        while len(start := file.read(8)) == 8:
            length, kind = int.from_bytes(start[:4], "big"), start[4:]
            if kind not in PNG_PIXELS:
                file.seek(length + 4, os.SEEK_CUR)
                continue
            found, left = zlib.crc32(kind), length
            while left and (piece := file.read(min(left, MIB))):
                found, left = zlib.crc32(piece, found), left - len(piece)
            wanted = file.read(4)
            if left or len(wanted) < 4:
                raise DecodeError("truncated: the file ends before its last pixels", "Copy it again.")
            if found != int.from_bytes(wanted, "big"):
                raise DecodeError("damaged: a checksum of its pixels is wrong", "Copy it again.")
