"""What the rows of a TIFF page become: grey levels or colours, with alpha; as `decoding` decides for a whole image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import tifffile
from PIL import Image as PillowImage

from batchimg_worker import decoding, profiles
from batchimg_worker.header import BYTE_BITS, photometric
from batchimg_worker.operations.arrays import Image

SUBSAMPLED = "YCBCR"
INKS = 4
RGB = 3
WHITE = 255

Rows = tuple[Image, tuple[str, ...]]
"""Rows, and what was decided."""


@dataclass(frozen=True)
class Colours:
    """How rows as they are decoded, (rows, columns, samples), become pixels of so many channels."""

    channels: int
    of_rows: Callable[[Image], Rows]
    icc_profile: bytes | None


def colours_of(page: tifffile.TiffPage) -> Colours | None:
    """How a page is read in parts; None where it cannot be."""
    kind, profile = photometric(page), decoding.tiff_profile(page)
    is_jpeg = decoding.is_jpeg_in_tiff(page)
    usual = RGB if kind == SUBSAMPLED and is_jpeg else decoding.TIFF_COLOURS.get(kind)
    if usual is not None and page.bitspersample >= BYTE_BITS:
        channels = decoding.channels_of(page, usual)
        return Colours(channels, lambda rows: decoding.of_page(rows, page, usual), profile)
    is_single = page.samplesperpixel == 1
    if usual == 1 and is_single:
        return Colours(1, partial(_few_levels, page=page), profile)
    if (
        kind == "PALETTE"
        and page.colormap is not None
        and page.bitspersample <= BYTE_BITS
        and page.samplesperpixel == 1
    ):
        table = np.ascontiguousarray((page.colormap >> BYTE_BITS).astype(np.uint8).T)
        return Colours(RGB, lambda rows: (table[rows[..., 0]], decoding.converted("P", "RGB")), profile)
    if kind == "SEPARATED" and (page.samplesperpixel, page.bitspersample, is_jpeg) == (INKS, BYTE_BITS, False):
        return Colours(RGB, partial(_inks, profile=profile), None)
    return None


def _few_levels(rows: Image, page: tifffile.TiffPage) -> Rows:
    """Grey of 1, 2 or 4 bits to 8."""
    grey = rows.astype(np.uint8) * (WHITE // (2**page.bitspersample - 1))
    if photometric(page) == "MINISWHITE":
        grey = ~grey
    return grey, decoding.converted("1", "L") if page.bitspersample == 1 else ()


def _inks(rows: Image, profile: bytes | None) -> Rows:
    image = PillowImage.fromarray(np.ascontiguousarray(rows), "CMYK")
    found = profiles.inks_to_srgb(image, profile) if profile else None
    if found is not None:
        return found, (decoding.INKS_BY_PROFILE,)
    return np.array(image.convert("RGB")), decoding.converted("CMYK", "RGB")
