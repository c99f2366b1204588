"""Readers: from the bytes of one kind of file to an array. `batchimg_worker.codec` lists what is decided here."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import imagecodecs
import imageio.v3 as iio
import numpy as np
import simplejpeg
import tifffile
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from PIL.ImageFile import ImageFile

from batchimg_worker import deep, profiles
from batchimg_worker.errors import DecodeError
from batchimg_worker.header import BYTE_BITS, PNG_CHANNELS, Header, page_of, photometric, png_chunks, tiff_file
from batchimg_worker.operations.arrays import Image

SHORT_BITS = 16
TIFF_READ_BYTES = 1 << 22
"""Strips that are taken out of the file at once; tifffile's 256 MB would be a second copy of it."""

READ_AS = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA", "P": "RGB"}
"""Pillow's mode to the mode it is read in; L, LA, RGB and RGBA stay, numbers have none, the rest becomes RGB."""

AS_STORED = ("L", "LA", "RGB", "RGBA")
NUMBERS = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
JPEG_COMPRESSIONS = (6, 7)
TIFF_COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "RGB": 3}
INKS_BY_PROFILE = "CMYK converted to sRGB by its profile"
ALPHA = {1: "premultiplied", 2: "straight"}
STRIP_ROWS = 64
ICC_TAG = 34675
PNG_PIXELS = (b"IDAT", b"PLTE")


@dataclass(frozen=True)
class Pixels:
    """What a reader returns: the array, not turned yet, its profile, and what was decided."""

    array: Image
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    upright: bool = False
    """Pillow turns TIFF files by itself."""


def read(data: bytes, header: Header, page: int = 0) -> Pixels:
    """Decode the first frame with the reader for this kind of file. Raises whatever its library raises.

    ``page`` is that of a TIFF whose ``header`` this is.
    """
    if header.format == "tiff":
        return _tiff(data, page)
    if header.format == "png":
        _check_sums(data)
    if header.format == "png" and header.bits == SHORT_BITS:
        return Pixels(_png(data, header), header.icc_profile)
    if header.format == "jpeg" and (header.bits != BYTE_BITS or header.mode == "lossless"):
        return _special_jpeg(data, header)
    if deep.stored_bits(data, header.format) > BYTE_BITS:
        return _deep(data, header)
    return _fast(data, header) or _pillow(data)


def _fast(data: bytes, header: Header) -> Pixels | None:
    """Plain JPEG and PNG with faster libraries. None for all others, and where anything is odd: Pillow decides."""
    decoder = None
    if header.format == "jpeg":
        decoder = _TURBO.get(header.mode)
    elif header.format == "png" and _is_plain_png(data, header):
        decoder = partial(_png, header=header)
    if decoder is None:
        return None
    try:
        array = decoder(data)
    except (ValueError, RuntimeError, MemoryError):
        return None
    array = array[..., 0] if array.ndim > 2 and array.shape[2] == 1 else array
    channels = array.shape[2] if array.ndim > 2 else 1
    fits = (*array.shape[:2], channels) == (header.height, header.width, header.channels) and array.dtype == np.uint8
    return Pixels(array, header.icc_profile) if fits else None


def _png(data: bytes, header: Header) -> Image:
    """Raises imagecodecs.PngError. imagecodecs never lets go of the array where libpng gives up: its memory goes."""
    channels = () if header.channels == 1 else (header.channels,)
    room = np.empty((header.height, header.width, *channels), np.uint8 if header.bits <= BYTE_BITS else np.uint16)
    try:
        return imagecodecs.png_decode(data, out=room)
    except ValueError:  # of another shape: 16 bits with a transparent colour
        return imagecodecs.png_decode(data)
    except imagecodecs.PngError:
        room.resize(0, refcheck=False)
        raise


def _is_plain_png(data: bytes, header: Header) -> bool:
    """8 bits a channel as they are stored: no palette, no transparent colour, one frame."""
    stored = header.mode in AS_STORED and PNG_CHANNELS.get(data[25]) == header.channels
    return stored and data[24] == BYTE_BITS and header.frames == 1


_TURBO: dict[str, Callable[[bytes], Image]] = {  # strict: what libjpeg only warns of is an error
    "RGB": partial(simplejpeg.decode_jpeg, colorspace="RGB", strict=True),
    "L": partial(simplejpeg.decode_jpeg, colorspace="GRAY", strict=True),
}


def _check_sums(data: bytes) -> None:
    """Neither Pillow nor libpng minds wrong pixels in a PNG, although its checksums show them."""
    view = memoryview(data)
    for kind, start, length in png_chunks(data):
        end = start + length
        if kind in PNG_PIXELS and zlib.crc32(view[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            if end + 4 > len(data):
                raise DecodeError(f"truncated: the file ends after {len(data):,} bytes", "Copy it again.")
            raise DecodeError("damaged: a checksum of its pixels is wrong", "Copy it again.")


def _special_jpeg(data: bytes, header: Header) -> Pixels:
    array, notes = _widened(imagecodecs.jpeg8_decode(data), header.bits)
    return Pixels(array, None, notes)


def _deep(data: bytes, header: Header) -> Pixels:
    """With every bit where that is possible; Pillow takes 8 of them, and that is said."""
    array = deep.read(data, header)
    if array is None:
        pixels = _pillow(data)
        reduced = pixels.array.dtype == np.uint8
        return replace(pixels, notes=(*pixels.notes, f"{header.bits} bits read as 8")) if reduced else pixels
    array, notes = _widened(array, header.bits)
    return Pixels(array, header.icc_profile, notes)


def _pillow(data: bytes, page: int = 0) -> Pixels:
    with PillowImage.open(io.BytesIO(data)) as image:
        image.seek(page)
        stored, profile = image.mode, image.info.get("icc_profile")
        wanted = _mode(image)
        inks = profiles.inks_to_srgb(image, profile) if stored == "CMYK" and profile else None
    if inks is not None:
        return Pixels(inks, None, (INKS_BY_PROFILE,))
    opened: Any = iio.imopen(data, "r", plugin="pillow")  # its type leaves out what the plugin takes
    with opened as file:
        array = file.read(index=page, mode=None if wanted == stored else wanted, writeable_output=False)
    notes = converted(stored, wanted)
    if stored in ("CMYK", "LAB"):
        profile = None
    if wanted is None and array.dtype != np.uint16:
        array, numeric = _as_grey_levels(array)
        notes += numeric
    return Pixels(array, profile, notes)


def converted(stored: str, wanted: str | None) -> tuple[str, ...]:
    """What to say where Pillow's mode ``stored`` is read in another one."""
    if stored == "1":
        return ("1-bit read as 8-bit grey",)
    if wanted is None or wanted == stored:
        return ()
    return (f"{'palette' if stored in ('P', 'PA') else stored} converted to {wanted}",)


def incomplete(data: bytes) -> Pixels:
    """What Pillow has decoded of a GIF when its data end: the same as its switch for truncated files, for this one."""
    with PillowImage.open(io.BytesIO(data)) as image:
        stored, wanted = image.mode, _mode(image)
        load_what_is_there(image)
        return Pixels(np.array(image.convert(wanted)), image.info.get("icc_profile"), converted(stored, wanted))


def load_what_is_there(image: PillowImage.Image) -> bool:
    """Decode the current frame as far as the data go; False where they end too early."""
    try:
        image.load()
    except OSError:
        if isinstance(image, ImageFile):
            image.tile = []
            image.load_end()
        return False
    return True


def _mode(image: PillowImage.Image) -> str | None:
    """The Pillow mode to read in, None for the modes of 16 and 32 bits, which are read as they are."""
    if image.mode in NUMBERS:
        return None
    mode = READ_AS.get(image.mode, image.mode if image.mode in AS_STORED else "RGB")
    if image.has_transparency_data and mode in ("L", "RGB"):
        return "LA" if mode == "L" else "RGBA"
    return mode


def _as_grey_levels(array: Image) -> tuple[Image, tuple[str, ...]]:
    """16-bit values that came in 32-bit integers become uint16 again; other numbers become float32."""
    if array.dtype == np.int32 and array.min() >= 0 and array.max() <= np.iinfo(np.uint16).max:
        return array.astype(np.uint16), ()
    return _as_float(array)


def _tiff(data: bytes, number: int) -> Pixels:
    with tiff_file(data) as file:
        page = page_of(file, number)
        colours = 3 if _is_deep_jpeg(page) else TIFF_COLOURS.get(photometric(page))
        if colours is None or page.bitspersample < BYTE_BITS:
            return _tiff_by_pillow(data, number, page)
        array = page.asarray(maxworkers=1, buffersize=TIFF_READ_BYTES).reshape(page.shaped)
        separate, depth, height, width, _ = page.shaped
        if depth != 1:
            raise DecodeError(f"is a volume of {depth} layers", "Write each layer as an image of its own.")
        array = np.moveaxis(array[:, 0], 0, -1)[..., 0, :] if separate > 1 else array[0, 0]
        array, notes = of_page(array.reshape(height, width, -1), page, colours)
        array = array[..., 0] if array.shape[2] == 1 else array
        return Pixels(array, tiff_profile(page), notes)


def is_jpeg_in_tiff(page: tifffile.TiffPage) -> bool:
    """Whether its strips or tiles are JPEG: then tifffile gives RGB where the page says YCbCr."""
    return int(page.compression) in JPEG_COMPRESSIONS


def _is_deep_jpeg(page: tifffile.TiffPage) -> bool:
    """Of 12 bits: Pillow reads those of 8."""
    return photometric(page) == "YCBCR" and is_jpeg_in_tiff(page) and page.bitspersample > BYTE_BITS


def _tiff_by_pillow(data: bytes, number: int, page: tifffile.TiffPage) -> Pixels:
    """Colours that Pillow converts, turned upright by it. Raises DecodeError for those that it does not know."""
    try:
        pixels = _pillow(data, number)
    except UnidentifiedImageError:
        channels = f"{page.samplesperpixel} channel{'' if page.samplesperpixel == 1 else 's'}"
        kind = f"{channels} of {page.bitspersample} bits, colours {photometric(page).lower()}"
        raise DecodeError(
            f"is a TIFF of a kind that batchimg does not read: {kind}", "Write it as grey or RGB first."
        ) from None
    reduced = page.bitspersample > BYTE_BITS and pixels.array.dtype == np.uint8
    notes = (f"{page.bitspersample} bits read as 8",) if reduced else ()
    return replace(pixels, notes=pixels.notes + notes, upright=True)


def tiff_profile(page: tifffile.TiffPage) -> bytes | None:
    """The colour profile of a page."""
    tag = page.tags.get(ICC_TAG)
    return tag.value if tag and isinstance(tag.value, bytes) else None


def of_page(array: Image, page: tifffile.TiffPage, colours: int) -> tuple[Image, tuple[str, ...]]:
    """Any rows of a page as they are decoded, (rows, columns, samples), to grey levels, colours and alpha."""
    array, notes = _with_alpha(array, colours, page.extrasamples)
    if photometric(page) == "MINISWHITE" and array.dtype.kind == "u":
        array = np.concatenate([~array[..., :1], array[..., 1:]], axis=2)
    array, widened = _widened(array, page.bitspersample)
    return array, notes + widened


def _with_alpha(array: Image, colours: int, extra: tuple[int, ...]) -> tuple[Image, tuple[str, ...]]:
    channels = array.shape[2]
    if channels < colours:
        raise DecodeError(
            f"has {channels} channels where {colours} are needed", "It does not follow the TIFF standard."
        )
    if channels == colours:
        return array, ()
    kind = _alpha_of(extra)
    if kind is None:
        return array[..., :colours], _dropped(channels - colours)
    array, notes = array[..., : colours + 1], _dropped(channels - colours - 1)
    if kind == "straight":
        return array, notes
    return _straight(array), (*notes, "premultiplied alpha made straight")


def _dropped(extra: int) -> tuple[str, ...]:
    return () if extra == 0 else ("1 extra channel dropped" if extra == 1 else f"{extra} extra channels dropped",)


def channels_of(page: tifffile.TiffPage, colours: int) -> int:
    """How many channels `of_page` gives: those that are neither colours nor alpha are dropped."""
    has_alpha = page.samplesperpixel > colours and _alpha_of(page.extrasamples) is not None
    return colours + (1 if has_alpha else 0)


def _alpha_of(extra: tuple[int, ...]) -> str | None:
    """What the first extra channel is, None where it is no alpha."""
    return ALPHA.get(int(extra[0])) if extra else None


def _straight(array: Image) -> Image:
    """Divide colours by alpha."""
    result = array.copy()
    largest = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1.0
    for top in range(0, array.shape[0], STRIP_ROWS):
        strip = array[top : top + STRIP_ROWS].astype(np.float32)
        alpha = strip[..., -1:]
        colour = np.divide(strip[..., :-1] * largest, alpha, out=np.zeros_like(strip[..., :-1]), where=alpha > 0)
        if array.dtype.kind == "u":
            colour = np.clip(np.rint(colour), 0, largest)
        result[top : top + STRIP_ROWS, :, :-1] = colour
    return result


def _widened(array: Image, bits: int) -> tuple[Image, tuple[str, ...]]:
    """To uint8, uint16 or float32; white of 9 to 15 bits becomes white of 16."""
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype != np.uint16:
        return _as_float(array)
    if bits >= SHORT_BITS:
        return array, ()
    largest = 2**bits - 1
    levels = np.rint(np.arange(largest + 1) * (np.iinfo(np.uint16).max / largest)).astype(np.uint16)
    return np.take(levels, array, mode="clip"), (f"{bits} bits stretched to 16",)


def _as_float(array: Image) -> tuple[Image, tuple[str, ...]]:
    if array.dtype.kind not in "iuf":
        raise DecodeError(f"holds {array.dtype} values", "Only whole and floating-point numbers can be read.")
    same = array.dtype in (np.float16, np.float32)
    return array.astype(np.float32), () if same else (f"{array.dtype} values read as float32",)
