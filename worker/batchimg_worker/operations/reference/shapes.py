"""Edges, thresholds and morphology."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import color, feature, filters, morphology, util

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.reference.layers import (
    colours,
    counts,
    empty_like,
    grey,
    grey_strip,
    levels,
    strips,
    two_levels,
    with_alpha_of,
)

skimage_feature: Any = feature  # scikit-image has no types
skimage_color: Any = color
skimage_util: Any = util
skimage_filters: Any = filters
skimage_morphology: Any = morphology

MORPHOLOGY = {
    "open": skimage_morphology.opening,
    "close": skimage_morphology.closing,
    "erode": skimage_morphology.erosion,
    "dilate": skimage_morphology.dilation,
}


def sobel(image: Image) -> Image:
    """`skimage.filters.sobel` of the luminance; white is the steepest step that there can be."""
    image = levels(image)
    plane = np.empty(image.shape[:2], image.dtype)
    for rows, around, inside in strips(image, 1):
        depth.store(skimage_filters.sobel(grey_strip(image, around))[inside] * depth.white(image.dtype), plane[rows])
    return with_alpha_of(image, plane)


def canny(image: Image, sigma: float, low: float, high: float) -> Image:
    """`skimage.feature.canny` of `rgb2gray`, in its own precision; thresholds are parts of white.

    Where neighbours are equally steep, on slopes and on straight borders, the last bit decides: float32 marks others.
    """
    image = levels(image)
    return two_levels(image, skimage_feature.canny(_luminance(image), sigma, low, high))


def _luminance(image: Image) -> npt.NDArray[np.floating[Any]]:
    """`skimage.color.rgb2gray`, or `img_as_float` of grey: float32 of float32, float64 of integers."""
    source = colours(image)
    plane = np.empty(image.shape[:2], np.float32 if image.dtype.kind == "f" else np.float64)
    for rows, _, _ in strips(image):
        if source.shape[2] > 1:
            plane[rows] = skimage_color.rgb2gray(source[rows])
        else:
            plane[rows] = skimage_util.img_as_float(source[rows, :, 0])
    return plane


def above(image: Image, level: float) -> Image:
    """White where the luminance is above a part of white."""
    plane = grey(image)
    return two_levels(levels(image), plane > level * depth.white(plane.dtype))


def otsu(image: Image) -> Image:
    """White where the luminance is above `skimage.filters.threshold_otsu`."""
    plane = grey(image)
    return two_levels(levels(image), plane > otsu_level(plane))


def otsu_level(plane: Image) -> float:
    """`skimage.filters.threshold_otsu` of a grey plane, in its own levels."""
    if plane.dtype.kind == "f":
        finite = plane[np.isfinite(plane)]
        if not finite.size:
            raise ValueError("its values are not finite")
        return float(skimage_filters.threshold_otsu(finite))
    return otsu_of(counts(plane))


def otsu_of(hist: npt.NDArray[np.int64]) -> float:
    """`skimage.filters.threshold_otsu` of the counts of all levels."""
    present = np.flatnonzero(hist)
    if present.size == 1:
        return float(present[0])
    centers = np.arange(present[0], present[-1] + 1)
    return float(skimage_filters.threshold_otsu(hist=(hist[present[0] : present[-1] + 1], centers)))


def local(image: Image, block_size: int, offset: float) -> Image:
    """White where the luminance is above `skimage.filters.threshold_local`: a Gaussian mean of its surroundings."""
    plane = grey(image)
    sigma = (block_size - 1) / 6
    halo = int(4 * sigma + 0.5)
    marked = np.empty(plane.shape, bool)
    shift = offset * depth.white(plane.dtype)
    kind = plane.dtype if plane.dtype.kind == "f" else np.dtype(np.float64)  # as scikit-image: equal levels are ties
    for rows, around, inside in strips(plane, halo):
        block = plane[around].astype(kind)
        marked[rows] = (block > ndimage.gaussian_filter(block, sigma, mode="reflect") - shift)[inside]
    return two_levels(levels(image), marked)


def footprint_of(kind: str, radius: int) -> npt.NDArray[np.uint8]:
    """`skimage.morphology.disk`, `diamond`, or a square of 2 radius + 1 pixels."""
    if kind == "square":
        return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    made: npt.NDArray[np.uint8] = (skimage_morphology.disk if kind == "disk" else skimage_morphology.diamond)(radius)
    return made


def morph(image: Image, method: str, kind: str, radius: int) -> Image:
    """`skimage.morphology.opening`, `closing`, `erosion` or `dilation`, colour by colour, exactly."""
    result = empty_like(image)
    footprint = footprint_of(kind, radius)
    for source, target in zip(depth.planes(colours(image)), depth.planes(colours(result)), strict=True):
        for rows, around, inside in strips(image, 2 * radius):
            target[rows] = MORPHOLOGY[method](np.ascontiguousarray(source[around]), footprint)[inside]
    return result
