"""Brightness, contrast and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import exposure

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.reference.layers import (
    Values,
    by_level,
    colours,
    counts,
    empty_like,
    levels,
    strips,
)

skimage_exposure: Any = exposure  # scikit-image has no types

NR_OF_BINS = 256


def invert(image: Image) -> Image:
    """`skimage.util.invert` of the colours."""
    result = empty_like(image)
    white = True if image.dtype == np.bool_ else image.dtype.type(depth.white(image.dtype))
    for rows, _, _ in strips(image):
        source = colours(image)[rows]
        colours(result)[rows] = ~source if image.dtype == np.bool_ else white - source
    return result


def gamma(image: Image, exponent: float, gain: float) -> Image:
    """`skimage.exposure.adjust_gamma`, rounded."""
    if image.dtype.kind == "f" and float(np.fmin.reduce(colours(image), axis=None)) < 0:
        raise ValueError("negative values have no gamma; use normalize first")
    return by_level(image, lambda values: gain * values**exponent)


def linear(image: Image, factor: float) -> Image:
    """`skimage.exposure.rescale_intensity` about mid-grey."""
    return by_level(image, lambda values: np.clip((values - 0.5) * factor + 0.5, 0, 1))


def sigmoid(image: Image, cutoff: float, gain: float) -> Image:
    """`skimage.exposure.adjust_sigmoid`, rounded."""
    return by_level(image, lambda values: 1 / (1 + np.exp(gain * (cutoff - values))))


def normalize(image: Image, low: float, high: float) -> Image:
    """`skimage.exposure.rescale_intensity` from two percentiles of all colours together to black and white."""
    image = levels(image)
    return stretched(image, *_percentiles(colours(image), low, high))


def stretched(image: Image, bottom: float, top: float) -> Image:
    """The levels from bottom to top spread from black to white."""
    white = depth.white(image.dtype)
    if not (np.isfinite(bottom) and np.isfinite(top)):
        raise ValueError("its values are not finite")
    if bottom == top:
        return image
    bottom, top = bottom / white, top / white
    return by_level(image, lambda values: np.clip((np.clip(values, bottom, top) - bottom) / (top - bottom), 0, 1))


def _percentiles(values: Image, low: float, high: float) -> tuple[float, float]:
    """`np.nanpercentile`; integers by counting, so that no copy is sorted."""
    if values.dtype.kind == "f":
        bottom, top = np.nanpercentile(values, (low, high))
        return float(bottom), float(top)
    return ranked(counts(values), low, high)


def ranked(hist: npt.NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    """Two percentiles of what was counted: `np.percentile`."""
    ends = np.cumsum(hist)
    last = int(ends[-1]) - 1
    ranks = np.array((low, high)) / 100 * last
    below, above = (np.searchsorted(ends, np.floor(ranks) + k, side="right") for k in (0, 1))
    above = np.where(np.floor(ranks) + 1 > last, below, above)
    exact = below + (above - below) * (ranks - np.floor(ranks))
    return float(exact[0]), float(exact[1])


def equalize(image: Image, method: str, clip_limit: float, kernel_size: int | None) -> Image:
    """`skimage.exposure.equalize_adapthist` or `equalize_hist` of the value (the largest colour), as in HSV."""
    image = levels(image)
    value = strongest(image)
    if image.dtype.kind == "f":
        if not depth.has_white(float(value.min()), float(value.max())):
            raise ValueError("its values are not from 0 to 1; use normalize first")
        value = np.clip(value, 0, 1)
    wanted = _clahe(value, clip_limit, kernel_size) if method == "clahe" else _flat(value)
    return _with_value(image, value, wanted)


def _clahe(value: Image, clip_limit: float, kernel_size: int | None) -> Values:
    if value.dtype == np.uint8:
        value = value * np.uint16(257)
    wanted: Values = skimage_exposure.equalize_adapthist(value, kernel_size=kernel_size, clip_limit=clip_limit)
    return wanted


def _flat(value: Image) -> Values:
    if value.dtype.kind == "f":
        wanted: Values = skimage_exposure.equalize_hist(value, nbins=NR_OF_BINS)
        return wanted
    return shares(counts(value))[value]


def shares(hist: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Level to the part of all values that are not above it."""
    ends = np.cumsum(hist)
    table: npt.NDArray[np.float32] = (ends / ends[-1]).astype(np.float32)
    return table


def by_table(image: Image, table: npt.NDArray[np.float32]) -> Image:
    """`equalize` where `shares` are known."""
    value = strongest(image)
    return _with_value(image, value, table[value])


def strongest(image: Image) -> Image:
    """The value of HSV: the largest colour."""
    return np.ascontiguousarray(colours(image).max(axis=2))


def _with_value(image: Image, value: Image, wanted: Values) -> Image:
    """Every colour times wanted / value; black becomes grey, as in `skimage.color.hsv2rgb`."""
    result = empty_like(image)
    white = np.float32(depth.white(image.dtype))
    for rows, _, _ in strips(image):
        old, new = value[rows, :, None].astype(np.float32), wanted[rows, :, None].astype(np.float32) * white
        ratio = np.divide(new, old, out=np.zeros_like(new), where=old > 0)
        depth.store(np.where(old > 0, colours(image)[rows] * ratio, new), colours(result)[rows])
    return result
