"""What a file says about itself before a pixel is decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import tifffile
from PIL import Image as PillowImage

from batchimg_worker import deep, directories
from batchimg_worker.errors import DecodeError
from batchimg_worker.kinds import refuse_unreadable
from batchimg_worker.quiet import quiet

PillowImage.MAX_IMAGE_PIXELS = None
"""Pillow's own limit is off: ours is checked from the header, by the caller, for every format."""

ORIENTATION_TAG = 0x0112
UPRIGHT_SIDES = (1, 2, 3, 4)
"""EXIF orientations that keep width and height."""

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GIF_SIGNATURE = b"GIF8"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
AVIF_SIGNATURES = (b"ftypavif", b"ftypavis")
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
JPEG_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless", 0xC9: "arithmetic"}
LAST_FRAME = 0xCF
NO_FRAMES = (0xC4, 0xC8, 0xCC)  # Huffman tables, reserved, arithmetic conditioning
ALONE = (0x01, *range(0xD0, 0xD8))
SCAN = 0xDA
STRUCTURE_ERRORS = (TypeError, LookupError, AttributeError)  # what libraries stumble over in nonsense
REDUCED = 1  # NewSubfileType of a page that is a smaller version of another
BYTE_BITS = 8
PNG_SHORT = 16

MODE_CHANNELS = {"1": 1, "L": 1, "P": 3, "LA": 2, "La": 2, "PA": 4, "RGBA": 4, "RGBa": 4, "I": 1, "F": 1}
MODE_BITS = {"1": 1, "I": 32, "F": 32}


@dataclass(frozen=True)
class Header:
    """Size and kind of an image, as stored: the orientation is not applied yet.

    ``format`` is Pillow's name in lower case (jpeg, png, tiff, webp, bmp, gif, ...), ``mode`` Pillow's mode or the
    format's own word where Pillow does not read it, ``bits`` those of one channel, ``frames`` at least 1.
    ``icc_profile`` is not filled in for TIFF.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    mode: str
    orientation: int = 1
    frames: int = 1
    icc_profile: bytes | None = field(default=None, repr=False)

    @property
    def megapixels(self) -> float:
        """Width times height, in millions."""
        return self.width * self.height / 1e6

    @property
    def frames_word(self) -> str:
        """What several of its frames are called."""
        return "pages" if self.format == "tiff" else "frames"

    @property
    def decoded_bytes(self) -> int:
        """The size of the decoded array."""
        return self.width * self.height * self.channels * (1 if self.bits <= BYTE_BITS else 2 if self.bits <= 16 else 4)


def inspect(data: bytes) -> Header:
    """Read the header. Often the first part of a file is enough, but not for TIFF and WebP.

    Raises DecodeError for what is no image, or one that nothing here can read.
    """
    if not data:
        raise DecodeError("is empty (0 bytes)", "Copy the file again from where it came from.")
    refuse_unreadable(data)
    try:
        with quiet():
            header = _read(data)
    except DecodeError:
        raise
    except Exception as error:
        raise unreadable(data, error) from error
    return _of_some_size(header)


def _of_some_size(header: Header) -> Header:
    if min(header.width, header.height, header.channels, header.bits) < 1:
        depth = f"{header.channels} channels of {header.bits} bits"
        raise DecodeError(f"damaged: its size is {header.width}x{header.height}, {depth}", "Copy the file again.")
    return header


def inspect_page(data: bytes, number: int) -> Header:
    """The header of one page of a TIFF, from 0. Raises DecodeError that names the page."""
    try:
        with quiet():
            return _tiff(data, number)
    except DecodeError as error:
        where = f"{error.message}, on page {number + 1}" if error.truncated else f"page {number + 1}: {error.message}"
        raise DecodeError(where, error.hint) from None
    except Exception as error:
        raise DecodeError(f"page {number + 1} is damaged: {error}", "Copy the file again.") from error


@contextmanager
def tiff_file(data: bytes) -> Iterator[tifffile.TiffFile]:
    """A TIFF in memory. Closing it lets its bytes go, which tifffile's circles of objects would hold for long."""
    with io.BytesIO(data) as stream, tifffile.TiffFile(stream) as file:
        yield file


def page_of(file: tifffile.TiffFile, number: int) -> tifffile.TiffPage:
    """One page with all of its tags."""
    return file.pages.first if number == 0 else file.pages[number].aspage()


def is_preview(page: tifffile.TiffPage) -> bool:
    """Whether a page is a smaller version of another."""
    return bool(page.subfiletype & REDUCED)


def _read(data: bytes) -> Header:
    if data[:4] in TIFF_SIGNATURES:
        if _directory(data) >= len(data):
            raise DecodeError("truncated: its directory, which is at its end, is missing", "Copy it again.")
        directories.check(io.BytesIO(data))
        return _tiff(data)
    if data[:4] == b"RIFF" and riff_bytes(data) > len(data):
        raise DecodeError(f"truncated: {len(data):,} of {riff_bytes(data):,} bytes are there", "Copy it again.")
    if data[:4] == GIF_SIGNATURE:
        from batchimg_worker.gif import header_of_large

        return header_of_large(data) or _pillow(data)
    if data[:3] != JPEG_SIGNATURE:
        return _pillow(data)
    from batchimg_worker.mending import without_garbage

    clean = without_garbage(data)
    return _special_jpeg(clean) or _pillow(clean)


def riff_bytes(data: bytes) -> int:
    """How long a WebP says that it is."""
    return 8 + int.from_bytes(data[4:8], "little")


def unreadable(data: bytes, error: Exception, size: int | None = None) -> DecodeError:
    """Any library's exception in one line: truncated, damaged, or no image at all.

    ``size`` is that of the file where ``data`` is only its beginning.
    """
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "cannot identify image file" in text:
        if data[:3] == JPEG_SIGNATURE or data[:8] == PNG_SIGNATURE or data[4:12] in AVIF_SIGNATURES:
            return DecodeError("truncated or damaged: the header is not complete", "Copy the file again.")
        return DecodeError(f"is not an image (it begins with {_beginning(data)})", "Remove it from the dataset.")
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return DecodeError(
            f"truncated: the file ends after {size or len(data):,} bytes, before its last pixels", "Copy it again."
        )
    if isinstance(error, MemoryError):
        return DecodeError("not enough memory to decode it", "Use a larger node or fewer slots a node.")
    if isinstance(error, STRUCTURE_ERRORS):
        text = "its parts do not fit together"
    return DecodeError(f"damaged: {text[:120]}", "Open it in another program; if that works too, please report it.")


def _beginning(data: bytes) -> str:
    head = data[:16]
    if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head):
        return repr(head.decode("ascii"))
    return head[:8].hex(" ")


def _pillow(data: bytes) -> Header:
    with PillowImage.open(io.BytesIO(data)) as image:
        kind = "jpeg" if image.format == "MPO" else str(image.format).lower()
        channels = MODE_CHANNELS.get(image.mode, 1 if image.mode.startswith("I;16") else 3)
        bits = MODE_BITS.get(image.mode, 16 if image.mode.startswith("I;16") else BYTE_BITS)
        if image.has_transparency_data and channels in (1, 3):
            channels += 1
        if kind == "png" and data[24] == PNG_SHORT:
            bits, channels = PNG_SHORT, PNG_CHANNELS[data[25]]
        stored = deep.stored_bits(data, kind)
        bits = stored if stored > BYTE_BITS else bits
        frames = 1 if kind == "jpeg" else int(getattr(image, "n_frames", 1))
        exif = _png_exif(data) if kind == "png" else image.getexif()
        turned = orientation_of(exif.get(ORIENTATION_TAG, 1))
        profile = image.info.get("icc_profile")
        return Header(kind, image.width, image.height, channels, bits, image.mode, turned, max(1, frames), profile)


def _png_exif(data: bytes) -> PillowImage.Exif:
    """The EXIF of a PNG. Pillow's own `getexif` decodes the whole image, to look for EXIF behind the pixels."""
    exif = PillowImage.Exif()
    for kind, start, length in png_chunks(data):
        if kind == b"eXIf":
            exif.load(data[start : start + length])
            break
    return exif


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk, and where its body begins and how long it is."""
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        yield kind, place + 8, length
        place += 12 + length


def orientation_of(value: object) -> int:
    """An EXIF orientation, 1 (upright) for anything that is none."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _special_jpeg(data: bytes) -> Header | None:
    """The header of a JPEG that Pillow does not read: lossless, or of more than 8 bits. None for all others."""
    for marker, segment in jpeg_segments(data):
        if 0xC0 <= marker <= LAST_FRAME and marker not in NO_FRAMES and len(segment) >= 6:
            bits, height, width, channels = struct.unpack(">BHHB", segment[:6])
            process = JPEG_FRAMES.get(marker, "other")
            if bits == BYTE_BITS and process != "lossless":
                return None
            return Header("jpeg", width, height, channels, bits, process)
    return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment before the first scan."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place += 1
            continue
        marker = data[place + 1]
        if marker == 0xFF or marker in ALONE or marker == 0:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == SCAN:
            return
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + max(2, length)


def _tiff(data: bytes, number: int = 0) -> Header:
    with tiff_file(data) as file:
        return tiff_header(file, len(data), number)


def tiff_header(file: tifffile.TiffFile, length: int, number: int = 0) -> Header:
    """The header of a page of an open TIFF file of so many bytes; the first one's counts them. Raises DecodeError."""
    page = page_of(file, number)
    _complete(page, length)
    if is_preview(page):
        raise DecodeError("is a camera raw file, or begins with a preview", "Develop it to JPEG or TIFF first.")
    size = (page.imagewidth, page.imagelength, page.samplesperpixel, page.bitspersample)
    if not all(isinstance(each, int) for each in size):
        raise DecodeError("has channels of different sizes or depths", "Write it with equal channels.")
    width, height, samples, bits = size
    channels = {"PALETTE": 3, "SEPARATED": 3}.get(photometric(page), samples)
    tag = page.tags.get(ORIENTATION_TAG)
    turned = orientation_of(tag.value) if tag is not None else 1
    pages = 1 if number else directories.in_circle(file.filehandle) or len(file.pages)
    return _of_some_size(Header("tiff", width, height, channels, bits, photometric(page).lower(), turned, pages))


def _directory(data: bytes) -> int:
    """Where the first directory of a TIFF lies."""
    place = data[8:16] if b"+" in data[:4] else data[4:8]
    return int.from_bytes(place, "little" if data[:2] == b"II" else "big")


def photometric(page: tifffile.TiffPage) -> str:
    """The name of a page's colours, as in the TIFF standard; a number where the standard has none."""
    return str(getattr(page.photometric, "name", page.photometric))


def _complete(page: tifffile.TiffPage, length: int) -> None:
    """tifffile fills what is missing with zeros; we do not."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + count > length:
            raise DecodeError(f"truncated: {length:,} bytes are too few for its strips", "Copy it again.")
