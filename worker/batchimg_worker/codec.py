"""From bytes to pixels and back: the one place that says what happens to odd files.

=====================================  ====================================================================
kind                                   decision
=====================================  ====================================================================
EXIF orientation                       applied (JPEG, PNG, TIFF, WebP, AVIF); EXIF itself is dropped
ICC profile                            kept, and written again where its colours fit (JPEG, PNG, TIFF, WebP, AVIF)
ICC profile with `colors: srgb`        colours converted to sRGB, profile dropped; a grey profile is kept
CMYK, YCCK                             converted to sRGB of 8 bits by the file's profile, without one as Pillow does
YCbCr, Lab, HSV, palette               converted to RGB; to RGBA where there is transparency
1-bit                                  8-bit grey, 0 and 255
alpha                                  kept; laid on white where a JPEG or a BMP is written
alpha in operations                    flip, rotate, resize, crop, pad, blur: one more channel; others leave it
16-bit                                 kept in PNG and TIFF; reduced to 8 for JPEG, WebP, AVIF and BMP
9 to 15 bits, 12-bit JPEG              stretched to 16
AVIF, JPEG 2000, PPM above 8 bits      kept as any other's; what only Pillow reads becomes 8, and that is noted
resolution, gamma, chromaticities      dropped, and not applied (DPI; PNG's gAMA, cHRM and cICP)
lossless and arithmetic JPEG           read
float, 32-bit and signed integers      float32; written as TIFF, or as any other where all are from 0 to 1
TIFF where 0 is white                  inverted; floats and signed integers stay: their white is not agreed on
several frames or pages                the first, of GIF, WebP, APNG, AVIF, TIFF and MPO
frames or pages with `frames: all`     each; written together as WebP, PNG or TIFF, otherwise as `name-0003.jpg`
JPEG with bytes between its markers    those bytes are skipped
wrong extension                        the content decides; the result gets the right suffix
truncated JPEG, if allowed             what is missing becomes grey
truncated PNG or TIFF, if allowed      what is missing becomes black or transparent; a TIFF needs its directory
truncated GIF, if allowed              what is missing becomes a colour of its palette
truncated WebP, if allowed             what is missing is made up from what is above it
truncated, damaged, empty, no image    DecodeError
HEIC, JPEG XL, JPEG XR, JPEG-LS        DecodeError that says what to do
PDF, PostScript, SVG, camera raw       DecodeError that says what to do
video, DICOM, HDF5, OpenEXR, volumes   DecodeError that says what to do
TIFF of colours that Pillow lacks      DecodeError that names them
too large                              ImageTooLarge, from the header, before anything is decoded
=====================================  ====================================================================

What was decided for one image is in its ``notes``. `decoding` and `encoding` hold the readers and writers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from batchimg_worker import decoding, encoding, mending, profiles
from batchimg_worker.contract import TRUNCATED
from batchimg_worker.errors import DecodeError, EncodeError, ImageError, ImageTooLarge, WorkerError
from batchimg_worker.header import Header, inspect, unreadable
from batchimg_worker.metadata import harmless
from batchimg_worker.naming import output_name, written_format
from batchimg_worker.operations import Scalar
from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.reference.frames import to_bits
from batchimg_worker.quiet import quiet

__all__ = [
    "DecodeLimits",
    "Encoded",
    "Header",
    "Picture",
    "check_size",
    "decode",
    "decode_bytes",
    "encode",
    "encode_bytes",
    "finished",
    "inspect",
    "opened",
    "output_name",
    "prepared",
    "turned",
    "written_as",
    "written_format",
]

DECODERS = {"webp": 16, "avif": 16}
ENCODERS = {"webp": 32, "avif": 64}
"""Bytes a pixel that libwebp and libavif hold for themselves."""

SHORT_BITS = 16
DEEP = ("png", "tiff")


@dataclass(frozen=True)
class DecodeLimits:
    """What one image may be. ``memory_bytes`` bounds what its decoding (or its whole recipe) holds at once.

    ``allow_truncated`` takes an image whose end is missing, and says so in a note. ``memory_mb`` is the setting that
    ``memory_bytes`` was made of, for messages.
    """

    max_megapixels: float = 200.0
    memory_bytes: int = 2 * 1024**3
    allow_truncated: bool = False
    memory_mb: int | None = None

    @property
    def room(self) -> str:
        """What there is for one image, in the words of the setting."""
        room = f"{self.memory_bytes / 1024**2:,.0f} MB"
        return (
            f"the limit is {room}" if self.memory_mb is None else f"memory_mb = {self.memory_mb} leaves {room} for it"
        )


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright; ``array`` is C-contiguous and follows `batchimg_worker.operations.arrays`.

    ``format`` and ``bits`` are those of the file it came from; ``metadata`` is what the measure exif tells.
    """

    array: Image
    format: str
    bits: int
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.array.shape[0], self.array.shape[1]


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, its format, and what had to be decided to write it."""

    data: bytes
    format: str
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    @property
    def md5(self) -> bytes:
        """The checksum, 16 bytes."""
        return hashlib.md5(self.data, usedforsecurity=False).digest()


def decode(
    data: bytes,
    *,
    limits: DecodeLimits | None = None,
    profile: Literal["keep", "srgb"] = "keep",
    metadata: bool = False,
    header: Header | None = None,
) -> Picture:
    """Read the first frame, upright. Raises DecodeError, and ImageTooLarge before anything is decoded.

    ``profile`` srgb converts the colours; ``metadata`` also reads what the measure exif tells. ``header`` is what
    `inspect` found, where it was asked already.
    """
    limits = limits or DecodeLimits()
    if header is None:
        data, header, mended = opened(data, limits)
    else:
        mended = ()
    check_size(header, limits)
    clean = mending.without_garbage(data)
    try:
        pixels, notes = _read(clean, header, limits)
    except DecodeError as error:
        if mended:
            raise DecodeError("truncated: what is there of it cannot be read", "Copy it again.") from error
        raise
    if clean is not data:
        notes = ("bytes between its markers skipped", *notes)
    if header.frames > 1:
        notes = (*notes, f"first of {header.frames} {header.frames_word}")
    found = harmless(clean) if metadata else {}
    return finished(replace(pixels, notes=(*mended, *notes)), header, profile, found)


def finished(
    pixels: decoding.Pixels, header: Header, profile: Literal["keep", "srgb"], metadata: Mapping[str, Scalar]
) -> Picture:
    """What a reader gave, upright, in the colours that are wanted."""
    array, notes = pixels.array, pixels.notes
    if header.orientation != 1:
        notes = (f"orientation {header.orientation} applied", *notes)
        array = array if pixels.upright else turned(array, header.orientation)
    icc_profile = pixels.icc_profile
    if profile == "srgb" and icc_profile is not None:
        array, icc_profile, note = _in_srgb(array, icc_profile)
        notes = (*notes, note)
    return Picture(np.ascontiguousarray(array), header.format, header.bits, icc_profile, notes, metadata)


def opened(data: bytes, limits: DecodeLimits) -> tuple[bytes, Header, tuple[str, ...]]:
    """What can be read of a file, its header, and notes; the same bytes, unless it is truncated and had to be mended.

    Raises DecodeError.
    """
    try:
        return data, inspect(data), ()
    except DecodeError as error:
        if not (limits.allow_truncated and error.truncated):
            raise
        whole = mending.extended(data, limits.memory_bytes)
        if whole is None:
            raise
        try:
            return whole[0], inspect(whole[0]), (TRUNCATED + f"what is missing is {whole[1]}",)
        except DecodeError:
            raise error from None


def _read(data: bytes, header: Header, limits: DecodeLimits) -> tuple[decoding.Pixels, tuple[str, ...]]:
    """The pixels, and what was decided; a truncated file is completed where that is allowed and possible."""
    try:
        pixels = _pixels(data, header)
    except DecodeError as error:
        if not (limits.allow_truncated and error.truncated):
            raise
        if header.format == "gif":
            pixels, missing = decoding.incomplete(data), "a colour of its palette"
        else:
            whole = mending.completed(data, header)
            if whole is None:
                raise
            pixels, missing = _pixels(whole[0], header), whole[1]
        return pixels, (TRUNCATED + f"what is missing is {missing}", *pixels.notes)
    return pixels, pixels.notes


def _pixels(data: bytes, header: Header) -> decoding.Pixels:
    try:
        with quiet():
            return decoding.read(data, header)
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(data, error) from error


def _in_srgb(array: Image, profile: bytes) -> tuple[Image, bytes | None, str]:
    converted = profiles.to_srgb(array, profile)
    if converted is None:
        return array, profile, "ICC profile kept: it cannot be converted to sRGB"
    return converted[0], None, converted[1]


def check_size(header: Header, limits: DecodeLimits) -> None:
    """Raise ImageTooLarge for an image beyond the limits, before anything of it is decoded."""
    size = f"{header.width}x{header.height} ({header.megapixels:,.1f} megapixels)"
    if header.megapixels > limits.max_megapixels:
        raise ImageTooLarge(
            f"{size} is over the limit of {limits.max_megapixels:g} megapixels",
            "Raise max_megapixels if the node has the memory for it.",
        )
    if decode_bytes(header) > limits.memory_bytes:
        needed = f"{decode_bytes(header) / 1024**2:,.0f} MB of memory"
        raise ImageTooLarge(
            f"{size} needs {needed} to decode, {limits.room}",
            "Raise memory_mb, or use fewer slots a node.",
        )


def turned(array: Image, orientation: int) -> Image:
    """A view, turned by the EXIF orientation (EXIF 2.3, section 4.6.4): 5 to 8 swap height and width."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array[:, ::-1] if orientation in (2, 3, 6, 7) else array


def encode(  # noqa: PLR0913 - everything that an output can say
    picture: Picture,
    format: str,  # noqa: A002 - the recipe's word
    *,
    quality: int = 90,
    subsampling: str | None = None,
    bits: int | None = None,
    pyramid: bool = False,
) -> Encoded:
    """Write ``picture.array`` as ``format``, which `written_format` gave. Raises EncodeError.

    ``subsampling`` is for JPEG and AVIF, None for 4:2:0; ``bits`` converts to 8 or 16 where the format has these.
    ``pyramid`` adds smaller versions to a TIFF.
    """
    wanted = encoding.Wanted(format, quality, picture.icc_profile, subsampling or encoding.CHROMA, pyramid)
    array, converted = _with_bits(picture.array, format, bits)
    with written_as(format), quiet():
        data, notes = encoding.write(array, wanted)
    return Encoded(data, format, converted + notes)


def prepared(picture: Picture, format: str, bits: int | None) -> tuple[Image, bytes | None, tuple[str, ...]]:  # noqa: A002
    """What `encode` would write: the array, its profile, and what was decided. Raises EncodeError."""
    array, converted = _with_bits(picture.array, format, bits)
    with written_as(format):
        array, profile, notes = encoding.prepared(array, encoding.Wanted(format, 0, picture.icc_profile))
    return array, profile, converted + notes


@contextmanager
def written_as(format: str) -> Iterator[None]:  # noqa: A002
    """Turn whatever a library raises into EncodeError."""
    try:
        yield
    except WorkerError:
        raise
    except MemoryError as error:
        hint = "Raise memory_mb, use fewer slots a node, or make the image smaller first."
        raise EncodeError(f"not enough memory to write it as {format}", hint) from error
    except Exception as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncodeError(f"cannot be written as {format}: {text[:120]}", "Choose another output format.") from error


def _with_bits(array: Image, format: str, bits: int | None) -> tuple[Image, tuple[str, ...]]:  # noqa: A002
    has = array.dtype.itemsize * 8
    if bits is None or has == bits or (bits == SHORT_BITS and format not in DEEP):
        return array, ()
    try:
        return to_bits(array, bits), (f"{has} bits converted to {bits}",)
    except ValueError as error:
        raise EncodeError(str(error), "Write it as TIFF without `bits`.") from None


def decode_bytes(header: Header) -> int:
    """The memory that `decode` holds at most, measured: Pillow's 4 bytes a pixel, the array twice, libwebp's canvas."""
    pixels = header.width * header.height
    usual = max(4 * pixels + 2 * header.decoded_bytes, 3 * header.decoded_bytes)
    return usual + DECODERS.get(header.format, 0) * pixels


def encode_bytes(pixels: int, array_bytes: int, format: str) -> int:  # noqa: A002 - the recipe's word
    """The memory that `encode` holds at most beside the array it writes, measured on noise."""
    return 4 * pixels + 2 * array_bytes + ENCODERS.get(format, 0) * pixels
