"""From bytes to pixels and back: the one place that says what happens to odd files.

=====================================  ====================================================================
kind                                   decision
=====================================  ====================================================================
EXIF orientation                       applied; EXIF itself is dropped
ICC profile                            kept, and written again where its colours fit (JPEG, PNG, TIFF, WebP)
CMYK, YCCK                             converted to RGB by Pillow, profile dropped
YCbCr, Lab, HSV, palette               converted to RGB; to RGBA where there is transparency
1-bit                                  8-bit grey, 0 and 255
alpha                                  kept; laid on white where a JPEG or a BMP is written
16-bit                                 kept in PNG and TIFF; reduced to 8 for JPEG, WebP and BMP
9 to 15 bits                           stretched to 16
float, 32-bit and signed integers      float32; written as TIFF, or as any other where all are from 0 to 1
several frames or pages                the first
truncated, damaged, no image           DecodeError
too large                              ImageTooLarge, from the header, before anything is decoded
=====================================  ====================================================================

What was decided for one image is in its ``notes``. `decoding` and `encoding` hold the readers and writers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from batchimg_worker import decoding, encoding
from batchimg_worker.errors import EncodeError, ImageError, ImageTooLarge
from batchimg_worker.header import Header, inspect, unreadable
from batchimg_worker.operations.arrays import Image
from batchimg_worker.quiet import quiet

__all__ = [
    "DecodeLimits",
    "Encoded",
    "Header",
    "Picture",
    "decode",
    "decode_bytes",
    "encode",
    "encode_bytes",
    "inspect",
    "output_name",
    "written_format",
]

SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "bmp": (".bmp", ".dib"),
}
OTHER_SUFFIXES = (".gif", ".apng", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".pgm", ".ppm", ".pnm")
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes) | set(OTHER_SUFFIXES)
NAMELESS = ".image"

WEBP_DECODER = 16
WEBP_ENCODER = 32
"""Bytes a pixel that libwebp holds for itself."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one image may be. ``memory_bytes`` bounds what its decoding (or its whole recipe) holds at once."""

    max_megapixels: float = 200.0
    memory_bytes: int = 2 * 1024**3


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright; ``array`` is C-contiguous and follows `batchimg_worker.operations.arrays`.

    ``format`` and ``bits`` are those of the file it came from.
    """

    array: Image
    format: str
    bits: int
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, its format, and what had to be decided to write it."""

    data: bytes
    format: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, limits: DecodeLimits | None = None) -> Picture:
    """Read the first frame, upright. Raises DecodeError, and ImageTooLarge before anything is decoded."""
    header = inspect(data)
    _check(header, limits or DecodeLimits())
    try:
        with quiet():
            pixels = decoding.read(data, header)
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(data, error) from error
    notes = pixels.notes
    array = pixels.array
    if header.orientation != 1:
        notes = (f"orientation {header.orientation} applied", *notes)
        array = array if pixels.upright else _upright(array, header.orientation)
    if header.frames > 1:
        notes = (*notes, f"first of {header.frames} {'pages' if header.format == 'tiff' else 'frames'}")
    return Picture(np.ascontiguousarray(array), header.format, header.bits, pixels.icc_profile, notes)


def _check(header: Header, limits: DecodeLimits) -> None:
    size = f"{header.width}x{header.height} ({header.megapixels:,.1f} megapixels)"
    if header.megapixels > limits.max_megapixels:
        raise ImageTooLarge(
            f"{size} is over the limit of {limits.max_megapixels:g} megapixels",
            "Raise max_megapixels if the node has the memory for it.",
        )
    if decode_bytes(header) > limits.memory_bytes:
        needed = f"{decode_bytes(header) / 1024**2:,.0f} MB of memory"
        raise ImageTooLarge(
            f"{size} needs {needed} to decode, the limit is {limits.memory_bytes / 1024**2:,.0f} MB",
            "Raise memory_mb, or use fewer slots a node.",
        )


def _upright(array: Image, orientation: int) -> Image:
    """Turn by the EXIF orientation (EXIF 2.3, section 4.6.4): 5 to 8 swap height and width."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array[:, ::-1] if orientation in (2, 3, 6, 7) else array


def encode(picture: Picture, format: str, *, quality: int = 90) -> Encoded:  # noqa: A002 - the recipe's word
    """Write ``picture.array`` as ``format``, which `written_format` gave. Raises EncodeError."""
    wanted = encoding.Wanted(format, quality, picture.icc_profile)
    try:
        with quiet():
            data, notes = encoding.write(picture.array, wanted)
    except EncodeError:
        raise
    except Exception as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncodeError(f"cannot be written as {format}: {text[:120]}", "Choose another output format.") from error
    return Encoded(data, format, notes)


def decode_bytes(header: Header) -> int:
    """The memory that `decode` holds at most, measured: Pillow's 4 bytes a pixel, the array twice, libwebp's canvas."""
    pixels = header.width * header.height
    usual = max(4 * pixels + 2 * header.decoded_bytes, 3 * header.decoded_bytes)
    return usual + (WEBP_DECODER * pixels if header.format == "webp" else 0)


def encode_bytes(pixels: int, array_bytes: int, format: str) -> int:  # noqa: A002 - the recipe's word
    """The memory that `encode` holds at most beside the array it writes, measured on noise."""
    return 4 * pixels + 2 * array_bytes + (WEBP_ENCODER * pixels if format == "webp" else 0)


def written_format(source_format: str, wanted: str) -> str:
    """The format in which a result is written: ``same`` keeps JPEG, PNG, TIFF, WebP and BMP, all else becomes PNG."""
    if wanted != "same":
        return wanted
    return source_format if source_format in SUFFIXES else "png"


def output_name(path: str, source_format: str, wanted: str) -> str:
    """The name of a result: the original's, if its suffix already says the format, otherwise with one more suffix.

    No two originals share a result: ``a.png`` written as JPEG is ``a.png.jpg``, an original of that name becomes
    ``a.png.jpg.jpg``, and ``photo``, which has no image suffix, becomes ``photo.image.jpg`` beside ``photo.jpg``.
    """
    suffixes = SUFFIXES[written_format(source_format, wanted)]
    last, before = _last_suffixes(path)
    if last in suffixes and before not in IMAGE_SUFFIXES | {NAMELESS}:
        return path
    return f"{path}{suffixes[0]}" if last in IMAGE_SUFFIXES else f"{path}{NAMELESS}{suffixes[0]}"


def _last_suffixes(path: str) -> tuple[str, str]:
    """The last suffix in lower case and the one before, empty where there is none."""
    suffixes = ["", "", *PurePosixPath(path).suffixes]
    return suffixes[-1].lower(), suffixes[-2].lower()
