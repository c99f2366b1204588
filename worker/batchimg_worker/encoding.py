"""Writers: from an array to the bytes of one format. `batchimg_worker.codec` lists what is decided here."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import imagecodecs
import imageio.v3 as iio
import numpy as np
import tifffile
from PIL import features

from batchimg_worker import png, tiff
from batchimg_worker.errors import EncodeError
from batchimg_worker.header import PNG_SIGNATURE
from batchimg_worker.operations.arrays import Image, packed, strips_of
from batchimg_worker.operations.kernels import depth

STRIP_ROWS = 64
PNG_LEVEL = 2
"""5 % larger than zlib's usual 6, and three times as fast."""

CHROMA = "4:2:0"
JFIF = b"\xff\xd8\xff\xe0"
PROFILE_PART = 65519
MOST_PARTS = 255
LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384}
PROFILE_SPACES = {b"GRAY": (1, 2), b"RGB ": (3, 4)}


@dataclass(frozen=True)
class Wanted:
    """How to write: ``quality`` is for JPEG, WebP and AVIF, ``icc_profile`` is embedded where its colours fit."""

    format: str
    quality: int
    icc_profile: bytes | None = None
    subsampling: str = "4:2:0"
    pyramid: bool = False


def write(array: Image, wanted: Wanted) -> tuple[bytes, tuple[str, ...]]:
    """Encode; also return what was decided. Raises EncodeError, or whatever the library raises."""
    array, profile, notes = prepared(array, wanted)
    return _writer(wanted)(array, wanted.quality, profile), notes


def prepared(array: Image, wanted: Wanted) -> tuple[Image, bytes | None, tuple[str, ...]]:
    """The array as the format can hold it, the profile that fits, and what was decided. Raises EncodeError."""
    check_sides(array.shape[0], array.shape[1], wanted.format)
    notes: tuple[str, ...] = ()
    for prepare in _PREPARE[wanted.format]:
        array, note = prepare(array, wanted.format)
        notes += note
    profile, dropped = fitting(wanted.icc_profile, array.shape[2] if array.ndim > 2 else 1)
    return array, profile, notes + dropped


def check_sides(height: int, width: int, format: str) -> None:  # noqa: A002 - the recipe's word
    """Raise EncodeError for an image that is too large for its format."""
    limit = LARGEST_SIDE.get(format, 0)
    if limit and max(height, width) > limit:
        raise EncodeError(
            f"{width}x{height} is too large for {format}, which ends at {limit:,} pixels a side",
            "Use `format: png` or `format: tiff`.",
        )


def fitting(profile: bytes | None, channels: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile if it describes so many channels, and a note where it does not."""
    if profile is None or channels in PROFILE_SPACES.get(profile[16:20], ()):
        return profile, ()
    return None, ("ICC profile dropped: its colours do not fit",)


Prepared = tuple[Image, tuple[str, ...]]


def _without_bool(array: Image, _: str) -> Prepared:
    return (array * np.uint8(255), ()) if array.dtype == np.bool_ else (array, ())


def _without_float(array: Image, name: str) -> Prepared:
    """Values from 0 to 1 to 16 bits; others have no agreed white."""
    if array.dtype.kind != "f":
        return array, ()
    low, high = float(array.min()), float(array.max())
    if not depth.has_white(low, high):
        raise EncodeError(
            f"values from {low:g} to {high:g} cannot be written as {name}, only 0 to 1 can", "Use `format: tiff`."
        )
    result = np.empty(array.shape, np.uint16)
    for top in range(0, array.shape[0], STRIP_ROWS):
        depth.store(array[top : top + STRIP_ROWS] * np.float32(65535), result[top : top + STRIP_ROWS])
    return result, ("float written as integers",)


def _as_bytes(array: Image, name: str) -> Prepared:
    """16 bits to 8, rounded: 65535 / 255 is 257."""
    if array.dtype != np.uint16:
        return array, ()
    result = np.empty(array.shape, np.uint8)
    for top in range(0, array.shape[0], STRIP_ROWS):
        result[top : top + STRIP_ROWS] = (array[top : top + STRIP_ROWS].astype(np.uint32) + 128) // 257
    return result, (f"16 bits reduced to 8 for {name}",)


def _on_white(array: Image, name: str) -> Prepared:
    """Lay colours on white where alpha says so; uint8 only."""
    if array.ndim == 2 or array.shape[2] in (1, 3):
        return array, ()
    colours = array.shape[2] - 1
    result = np.empty((*array.shape[:2], colours), np.uint8)
    for top in range(0, array.shape[0], STRIP_ROWS):
        strip = array[top : top + STRIP_ROWS].astype(np.uint32)
        alpha = strip[..., colours:]
        result[top : top + STRIP_ROWS] = (strip[..., :colours] * alpha + 255 * (255 - alpha) + 127) // 255
    return result[..., 0] if colours == 1 else result, (f"alpha laid on white for {name}",)


def _grey_alpha_as_rgba(array: Image, _: str) -> Prepared:
    if array.ndim == 3 and array.shape[2] == 2:
        return np.ascontiguousarray(array[..., [0, 0, 0, 1]]), ()
    return array, ()


def _jpeg(array: Image, quality: int, profile: bytes | None, subsampling: str = CHROMA) -> bytes:
    """The same bytes as Pillow's, with the same library underneath, but not under the GIL."""
    sampling = subsampling.replace(":", "") if array.ndim == 3 and array.shape[2] == 3 else "444"
    data = bytes(imagecodecs.jpeg8_encode(packed(array), level=quality, subsampling=sampling))
    if not data.startswith(JFIF):
        raise EncodeError("the JPEG library wrote no JFIF header", "Choose another output format.")
    return data if profile is None else with_jpeg_profile(data, profile)


def with_jpeg_profile(data: bytes, profile: bytes) -> bytes:
    """Put APP2 segments after APP0 (ICC.1:2022, annex B.4); a segment holds 64 KB at most."""
    parts = [profile[start : start + PROFILE_PART] for start in range(0, len(profile), PROFILE_PART)]
    if len(parts) > MOST_PARTS:
        raise EncodeError("the ICC profile is too large for a JPEG", "Use `format: png` or `format: tiff`.")
    end = 4 + int.from_bytes(data[4:6], "big")
    segments = [
        b"\xff\xe2" + struct.pack(">H", 16 + len(part)) + b"ICC_PROFILE\0" + bytes((number, len(parts))) + part
        for number, part in enumerate(parts, start=1)
    ]
    return b"".join([data[:end], *segments, data[end:]])


def _avif(array: Image, quality: int, profile: bytes | None, subsampling: str = CHROMA) -> bytes:
    if not features.check("avif"):
        raise EncodeError("this Pillow cannot write AVIF", "Install a wheel of Pillow 11.3 or newer, or use webp.")
    return _pillow(array, ".avif", profile, {"quality": quality, "subsampling": subsampling, "max_threads": 1})


def _webp(array: Image, quality: int, profile: bytes | None) -> bytes:
    return _pillow(array, ".webp", profile, {"quality": quality})


def _bmp(array: Image, _: int, __: bytes | None) -> bytes:
    return _pillow(array, ".bmp", None, {})


def _pillow(array: Image, suffix: str, profile: bytes | None, options: dict[str, int | str | bytes]) -> bytes:
    imwrite: Any = iio.imwrite  # its type leaves out what the plugin takes
    if profile is not None:
        options = {**options, "icc_profile": profile}
    data: bytes = imwrite("<bytes>", array, plugin="pillow", extension=suffix, **options)
    return data


def _png(array: Image, _: int, profile: bytes | None) -> bytes:
    if png.suits(array):
        return png.write(array, profile)
    if array.dtype == np.uint8:
        return _pillow(array, ".png", profile, {"compress_level": PNG_LEVEL})
    data = bytes(imagecodecs.png_encode(packed(array), level=PNG_LEVEL))
    end_of_header = len(PNG_SIGNATURE) + 25  # libpng's binding in imagecodecs has no word for profiles
    return b"".join([data[:end_of_header], *png.profile_chunk(profile), data[end_of_header:]])


def _tiff(array: Image, _: int, profile: bytes | None) -> bytes:
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        tiff.write_page(file, strips_of(array), profile)
    return target.getvalue()


def _pyramid(array: Image, _: int, profile: bytes | None) -> bytes:
    from batchimg_worker.tiles.tiff import pyramid_of

    return pyramid_of(array, profile)


def _writer(wanted: Wanted) -> Callable[[Image, int, bytes | None], bytes]:
    if wanted.pyramid:
        return _pyramid
    if wanted.subsampling != CHROMA and wanted.format in _SUBSAMPLING:
        return partial(_SUBSAMPLING[wanted.format], subsampling=wanted.subsampling)
    return _WRITERS[wanted.format]


_SUBSAMPLING: dict[str, Callable[..., bytes]] = {"jpeg": _jpeg, "avif": _avif}
_WRITERS: dict[str, Callable[[Image, int, bytes | None], bytes]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "bmp": _bmp,
    "png": _png,
    "tiff": _tiff,
    "avif": _avif,
}
_PREPARE: dict[str, tuple[Callable[[Image, str], Prepared], ...]] = {
    "jpeg": (_without_bool, _without_float, _as_bytes, _on_white),
    "webp": (_without_bool, _without_float, _as_bytes, _grey_alpha_as_rgba),
    "avif": (_without_bool, _without_float, _as_bytes, _grey_alpha_as_rgba),
    "bmp": (_without_bool, _without_float, _as_bytes, _on_white),
    "png": (_without_bool, _without_float),
    "tiff": (_without_bool,),
}
