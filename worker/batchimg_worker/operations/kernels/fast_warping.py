"""Rotation and mirroring with the C kernels."""

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, native, warping

LOOK_AT = 1 << 16


def warp(image: Image, placement: warping.Placement, *, mode: str, cval: float) -> Image:
    """As `warping.warp` with order 1, for uint8, uint16 and float32."""
    fill = cval * depth.white(image.dtype)
    target = np.empty((*placement.output_size, *image.shape[2:]), image.dtype)
    found = native.warp(image, placement.matrix, target, mode=mode, fill=fill)
    if not found or found & native.FILLED or _within(image, fill):
        return target
    return warping.warp(image, placement, order=1, mode=mode, cval=cval)  # where skimage clips the borders' blends


def _within(image: Image, fill: float) -> bool:
    """Whether the fill lies between values of the image: only then does skimage's clipping never show."""
    low, high = np.inf, -np.inf
    values = image.reshape(-1)
    for first in range(0, len(values), LOOK_AT):
        some = values[first : first + LOOK_AT]
        low, high = min(low, float(some.min())), max(high, float(some.max()))
        if low <= fill <= high:
            return True
    return False
