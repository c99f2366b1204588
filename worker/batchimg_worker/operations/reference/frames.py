"""Borders, bit depths and channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, pixels
from batchimg_worker.operations.reference.layers import WITH_ALPHA, levels, strips

TYPES: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}


def pad(image: Image, rows: tuple[int, int], columns: tuple[int, int], mode: str, cval: float) -> Image:
    """`numpy.pad`; ``cval`` is a part of white, for floats a value."""
    widths = (rows, columns) if image.ndim == 2 else (rows, columns, (0, 0))
    if mode != "constant":
        padded: Any = np.pad  # its types know only literal modes
        return np.ascontiguousarray(padded(image, widths, mode=mode))
    height, width = image.shape[0] + sum(rows), image.shape[1] + sum(columns)
    result = np.empty((height, width, *image.shape[2:]), image.dtype)
    result[...] = depth.level(cval * depth.white(image.dtype), image.dtype)
    result[rows[0] : height - rows[1], columns[0] : width - columns[1]] = image
    return result


def to_bits(image: Image, bits: int) -> Image:
    """8 and 16 bits from 0 to white, 32 as float32 from 0 to 1: `skimage.img_as_ubyte` and its likes, rounded."""
    image, wanted = levels(image), np.dtype(TYPES[bits])
    if image.dtype == wanted:
        return image
    low, high = depth.extremes(image)
    if image.dtype.kind == "f" and not (depth.has_white(low, high) and bool(np.isfinite(image.sum()))):
        raise ValueError(f"values from {low:g} to {high:g} have no agreed white, only 0 to 1 have; use normalize first")
    result = np.empty(image.shape, wanted)
    kind: Any = np.float64 if 16 in (bits, image.dtype.itemsize * 8) else np.float32
    factor = depth.white(wanted) / depth.white(image.dtype)
    for rows, _, _ in strips(image):
        values = image[rows].astype(kind)
        values *= factor
        depth.store(values, result[rows])
    return result


def to_mode(image: Image, mode: str) -> Image:
    """To grey, greya, rgb or rgba; alpha that has no place is laid on white, alpha that is missing is full."""
    if image.ndim == 3 and image.shape[2] in WITH_ALPHA and not mode.endswith("a"):
        image = _on_white(levels(image))
    if mode.startswith("grey"):
        image = pixels.grayscale(image)
    planes = depth.planes(image)
    alpha = planes.pop() if len(planes) in WITH_ALPHA else None
    if mode.startswith("rgb") and len(planes) == 1:
        planes *= 3
    if mode.endswith("a"):
        full: Any = True if image.dtype == np.bool_ else depth.white(image.dtype)
        planes.append(np.full(image.shape[:2], full, image.dtype) if alpha is None else alpha)
    return np.ascontiguousarray(np.stack(planes, axis=2) if len(planes) > 1 else planes[0])


def _on_white(image: Image) -> Image:
    white = np.float32(depth.white(image.dtype))
    result = np.empty((*image.shape[:2], image.shape[2] - 1), image.dtype)
    for rows, _, _ in strips(image):
        strip = image[rows].astype(np.float32)
        alpha = strip[..., -1:] / white
        depth.store(strip[..., :-1] * alpha + white * (1 - alpha), result[rows])
    return result[..., 0] if result.shape[2] == 1 else result
