"""Colours from a file's own profile to sRGB, by Little CMS."""

from __future__ import annotations

import io
from functools import cache, lru_cache

import imagecodecs
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

from batchimg_worker.operations.arrays import Image, packed
from batchimg_worker.operations.reference.layers import RGB, strips

SPACE = slice(16, 20)
NOTE = "colours converted to sRGB"


@cache
def _srgb() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))


def inks_to_srgb(image: PillowImage.Image, profile: bytes) -> Image | None:
    """Four inks as Pillow reads them (255 is all ink) in sRGB; None where the profile is none of CMYK, or broken.

    Intent is perceptual.
    """
    if profile[SPACE] != b"CMYK":
        return None
    image.load()
    try:
        converted = ImageCms.applyTransform(image, _from_inks(profile))
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if converted is None else np.array(converted)


@lru_cache(maxsize=2)
def _from_inks(profile: bytes) -> ImageCms.ImageCmsTransform:
    """Kept, as an image in tiles needs it for every few rows."""
    source, target = (ImageCms.ImageCmsProfile(io.BytesIO(one)) for one in (profile, _srgb()))
    return ImageCms.buildTransform(source, target, "CMYK", "RGB")


def to_srgb(array: Image, profile: bytes) -> tuple[Image, str] | None:
    """The array in sRGB, and a note; None where the profile is not one of RGB, or cannot be read.

    Intent is perceptual. Alpha stays.
    """
    if array.ndim < 3 or array.shape[2] < RGB or profile[SPACE] != b"RGB ":
        return None
    result = array.copy()
    try:
        for rows, _, _ in strips(array):
            colours = packed(array[rows, :, :RGB])
            result[rows, :, :RGB] = imagecodecs.cms_transform(
                colours, profile, _srgb(), colorspace="rgb", outcolorspace="rgb"
            )
    except imagecodecs.CmsError:
        return None
    return result, NOTE
