"""Numbers about images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft
from skimage import filters

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, scaling
from batchimg_worker.operations.reference.layers import (
    RGB,
    colours,
    counts,
    grey,
    grey_strip,
    levels,
    strips,
)

skimage_filters: Any = filters  # scikit-image has no types

HASH_SIDE, HASH_BITS = 32, 8
COLOUR_LEVELS = 16


def histogram(image: Image, bins: int, names: Mapping[int, tuple[str, ...]]) -> dict[str, float]:
    """Channel and bin to the part of the pixels in it."""
    image = levels(image)
    planes = depth.planes(image)
    white = depth.white(image.dtype)
    found: dict[str, float] = {}
    for name, plane in zip(names[len(planes)], planes, strict=True):
        total = np.zeros(bins, np.int64)
        for rows, _, _ in strips(plane):
            total += np.bincount(_bins(plane[rows], white, bins), minlength=bins)
        parts = total / plane.size
        found |= {f"{name}_{k:02d}": float(part) for k, part in enumerate(parts)}
    return found


def _bins(values: Image, white: float, bins: int) -> npt.NDArray[np.intp]:
    """The bin of each value; integers so that the levels are spread evenly, 256 of them to 16 bins."""
    if values.dtype.kind == "f":
        scaled = np.nan_to_num(values.ravel().astype(np.float64), nan=0.0) * bins
        return np.clip(scaled, 0, bins - 1).astype(np.intp)
    wide: npt.NDArray[np.intp] = values.ravel().astype(np.intp) * bins
    wide //= int(white) + 1
    return wide


def laplacian_variance(image: Image) -> float:
    """In levels of 8 bits, squared."""
    image = levels(image)
    total = squares = 0.0
    for _, around, inside in strips(image, 1):
        values = skimage_filters.laplace(grey_strip(image, around, np.float64) * 255)[inside]
        total += float(values.sum())
        squares += float((values * values).sum())
    pixels = image.shape[0] * image.shape[1]
    return _variance(total / pixels, squares / pixels)


def brightness(image: Image) -> tuple[float, float]:
    """Mean and standard deviation of the luminance."""
    image = levels(image)
    total = squares = 0.0
    for rows, _, _ in strips(image):
        values = grey_strip(image, rows, np.float64)
        total += float(values.sum())
        squares += float((values * values).sum())
    pixels = image.shape[0] * image.shape[1]
    mean = total / pixels
    return mean, _variance(mean, squares / pixels) ** 0.5


def _variance(mean: float, mean_of_squares: float) -> float:
    """Not below 0, where rounding would bring it; NaN stays."""
    return float(np.maximum(0.0, mean_of_squares - mean * mean))


def entropy(image: Image) -> float:
    """In bits."""
    plane = grey(image)
    found = np.unique(plane, return_counts=True)[1] if plane.dtype.kind == "f" else counts(plane)
    parts = found[found > 0] / plane.size
    return float(abs((parts * np.log2(parts)).sum()))


def perceptual_hash(image: Image) -> str | None:
    """16 hexadecimal digits; None where NaN or infinities leave nothing to compare."""
    small = scaling.resize(grey(image), HASH_SIDE, HASH_SIDE, order=1, anti_aliasing=None)
    waves = fft.dctn(small.astype(np.float64), norm="ortho")[:HASH_BITS, :HASH_BITS].ravel()
    if not np.isfinite(waves).all():
        return None
    bits = waves > float(np.median(waves[1:]))
    return bytes(np.packbits(bits)).hex()


def dominant_color(image: Image) -> dict[str, float | str | None]:
    """Names of colours to levels, ``share`` to a part, ``hex`` to a text; None where the levels are no numbers."""
    image = levels(image)
    source, white = colours(image), depth.white(image.dtype)
    channels = source.shape[2]
    total = np.zeros(COLOUR_LEVELS**channels, np.int64)
    for rows, _, _ in strips(source):
        total += np.bincount(_cells(source[rows], white), minlength=total.size)
    cell = int(total.argmax())
    sums = np.zeros(channels)
    for rows, _, _ in strips(source):
        strip = source[rows].reshape(-1, channels)
        sums += strip[_cells(source[rows], white) == cell].sum(axis=0, dtype=np.float64)
    means = sums / total[cell]
    names = ("red", "green", "blue") if channels == RGB else ("grey",)
    share = float(total[cell] / (source.shape[0] * source.shape[1]))
    return {
        **dict(zip(names, means.tolist(), strict=True)),
        "share": share,
        "hex": _hex(means / white) if np.isfinite(means).all() else None,
    }


def _hex(colour: npt.NDArray[np.float64]) -> str:
    """As in CSS, of red, green and blue or of grey from 0 to 1."""
    eight = np.rint(np.clip(np.broadcast_to(colour, RGB), 0, 1) * 255).astype(np.uint8)
    return "#" + eight.tobytes().hex()


def _cells(strip: Image, white: float) -> npt.NDArray[np.intp]:
    """Each pixel's cell of the colour cube."""
    cells = np.zeros(strip.shape[0] * strip.shape[1], np.intp)
    for k in range(strip.shape[2]):
        cells = cells * COLOUR_LEVELS + _bins(strip[..., k], white, COLOUR_LEVELS)
    return cells
