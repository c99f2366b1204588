"""Filters of 8-bit images that look at a pixel's surroundings, with the C kernels; arrays are contiguous."""

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import fast_smoothing, native


def median(image: Image, radius: int) -> Image:
    """The median of a square, every channel for itself; beyond the border its values are repeated."""
    target = np.empty_like(image)
    _called("median_u8", image, radius, target.ctypes.data)
    return target


def extreme(image: Image, footprint: npt.NDArray[np.uint8], *, largest: bool) -> Image:
    """The least or the largest value of a footprint whose rows are whole and symmetric."""
    half = ((footprint != 0).sum(axis=1, dtype=np.int32) - 1) // 2
    target = np.empty_like(image)
    _called("extreme_u8", image, len(footprint) // 2, half.ctypes.data, int(largest), target.ctypes.data)
    return target


def unsharp(image: Image, radius: float, amount: float, halo: int) -> Image:
    """`image + (image - blurred) * amount`; beyond the border the image is mirrored for the blur."""
    edges = ((halo, halo), (halo, halo), (0, 0))[: image.ndim]
    blurred = fast_smoothing.gaussian(np.pad(image, edges, mode="symmetric"), radius)
    inner = np.ascontiguousarray(blurred[halo : halo + image.shape[0], halo : halo + image.shape[1]])
    target = np.empty_like(image)
    native.function("unsharp_u8")(image.ctypes.data, inner.ctypes.data, image.size, amount, target.ctypes.data)
    return target


def sobel(image: Image) -> Image:
    """The strength of the luminance's edges, (height, width)."""
    target = np.empty(image.shape[:2], np.uint8)
    _called("sobel_u8", image, target.ctypes.data)
    return target


def _called(name: str, image: Image, *arguments: int) -> None:
    channels = image.shape[2] if image.ndim > 2 else 1
    if not native.function(name)(image.ctypes.data, *image.shape[:2], channels, *arguments):
        raise MemoryError
