"""More than 8 bits a channel in kinds of files that Pillow reads as 8: AVIF, JPEG 2000, colour Netpbm and SGI."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from batchimg_worker.errors import DecodeError

if TYPE_CHECKING:
    from batchimg_worker.header import Header
    from batchimg_worker.operations.arrays import Image

BYTE_BITS = 8
SIGNED_BITS = 32
"""Signed levels become float32."""

AV1_CONFIGURATION = b"av1C"
HIGH, TWELVE = 0x40, 0x20
CODESTREAM = b"\xff\x4f\xff\x51"  # start, and the marker of the size (ISO/IEC 15444-1, annex A.5.1)
INKS_OR_LUMA = re.compile(rb"colr\x01..\0\0\0[\x0c\x12]", re.DOTALL)  # enumerated colours CMYK and sYCC
PNM = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
PLAIN_PNM = re.compile(rb"P3(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)\s")


def stored_bits(data: bytes, kind: str) -> int:
    """Bits of a channel as the file has them, 8 for whatever Pillow reads with all of its bits."""
    finder = _BITS.get(kind)
    return BYTE_BITS if finder is None else finder(data)


def read(data: bytes, header: Header) -> Image | None:
    """Every level as it is stored; None where only Pillow reads the file. Raises DecodeError for one that is cut."""
    reader = _READERS.get(header.format)
    if reader is None:
        return None
    try:
        array = reader(data, header)
    except (ValueError, RuntimeError):
        return None
    if array is None:
        return None
    array = array[..., 0] if array.ndim > 2 and array.shape[2] == 1 else array
    channels = array.shape[2] if array.ndim > 2 else 1
    return array if (*array.shape[:2], channels) == (header.height, header.width, header.channels) else None


def _bits_of_avif(data: bytes) -> int:
    """From the codec's configuration (AV1-ISOBMFF 2.3.3): two flags in its third byte."""
    place = data.find(AV1_CONFIGURATION) + len(AV1_CONFIGURATION) + 2
    if place < len(AV1_CONFIGURATION) + 2 or place >= len(data) or not data[place] & HIGH:
        return BYTE_BITS
    return 12 if data[place] & TWELVE else 10


def _bits_of_jpeg2000(data: bytes) -> int:
    place = data.find(CODESTREAM)
    parts = int.from_bytes(data[place + 40 : place + 42], "big") if place >= 0 else 0
    depths = data[place + 42 : place + 42 + 3 * parts : 3]
    if any(depth & 0x80 for depth in depths):
        return SIGNED_BITS
    return max((depth + 1 for depth in depths), default=BYTE_BITS)


def _bits_of_pnm(data: bytes) -> int:
    match = PNM.match(data) or PLAIN_PNM.match(data)
    return max(BYTE_BITS, int(match[match.re.groups][:6]).bit_length()) if match else BYTE_BITS


def _bits_of_sgi(data: bytes) -> int:
    return 2 * BYTE_BITS if data[3:4] == b"\x02" else BYTE_BITS


def _avif(data: bytes, header: Header) -> Image | None:
    return imagecodecs.avif_decode(data, index=0) if header.frames == 1 else None


def _jpeg2000(data: bytes, header: Header) -> Image | None:
    """Only where the codestream is as large as the boxes around it say, and needs no conversion of colours."""
    place = data.find(CODESTREAM)
    right, bottom, left, top = (
        int.from_bytes(data[place + start : place + start + 4], "big") for start in (8, 12, 16, 20)
    )
    if (right - left, bottom - top) != (header.width, header.height):
        return None
    if header.mode == "P" or INKS_OR_LUMA.search(data, 0, place):
        return None
    return imagecodecs.jpeg2k_decode(data)


def _pnm(data: bytes, header: Header) -> Image | None:
    match = PNM.match(data)
    if match is None:
        return None
    count, largest = header.width * header.height * header.channels, int(match[3])
    if len(data) < match.end() + 2 * count:
        raise DecodeError(f"truncated: the file ends after {len(data):,} bytes", "Copy it again.")
    levels = np.frombuffer(data, ">u2", count, match.end()).astype(np.uint16)
    table = np.rint(np.arange(largest + 1) * ((2**header.bits - 1) / largest)).astype(np.uint16)
    return np.take(table, levels, mode="clip").reshape(header.height, header.width, header.channels)


_BITS: dict[str, Callable[[bytes], int]] = {
    "avif": _bits_of_avif,
    "jpeg2000": _bits_of_jpeg2000,
    "ppm": _bits_of_pnm,
    "sgi": _bits_of_sgi,
}
_READERS: dict[str, Callable[[bytes, Header], Image | None]] = {"avif": _avif, "jpeg2000": _jpeg2000, "ppm": _pnm}
