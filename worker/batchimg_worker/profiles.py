"""Colours from a file's own profile to sRGB, by Little CMS."""

from __future__ import annotations

from functools import cache

import imagecodecs
import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.reference.layers import RGB, strips

SPACE = slice(16, 20)
NOTE = "colours converted to sRGB"


@cache
def _srgb() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))


def to_srgb(array: Image, profile: bytes) -> tuple[Image, str] | None:
    """The array in sRGB, and a note; None where the profile is not one of RGB, or cannot be read.

    Intent is perceptual. Alpha stays.
    """
    if array.ndim < 3 or array.shape[2] < RGB or profile[SPACE] != b"RGB ":
        return None
    result = array.copy()
    try:
        for rows, _, _ in strips(array):
            colours = np.ascontiguousarray(array[rows, :, :RGB])
            result[rows, :, :RGB] = imagecodecs.cms_transform(
                colours, profile, _srgb(), colorspace="rgb", outcolorspace="rgb"
            )
    except imagecodecs.CmsError:
        return None
    return result, NOTE
