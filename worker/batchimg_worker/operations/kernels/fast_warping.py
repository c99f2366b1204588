"""Rotation with the C kernels, of the whole image or strip by strip."""

from collections.abc import Iterator

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, native, warping

LOOK_AT = 1 << 16
STRIP_BYTES = 4 << 20
OUTSIDE = 2
"""Pixels beyond the border from where on a pixel is all fill for sure: interpolation reaches one."""


def warp(image: Image, placement: warping.Placement, *, mode: str, cval: float) -> Image:
    """As `warping.warp` with order 1, for uint8, uint16 and float32."""
    fill = cval * depth.white(image.dtype)
    target = np.empty((*placement.output_size, *image.shape[2:]), image.dtype)
    found = native.warp(image, placement.matrix, target, mode=mode, fill=fill)
    if not found or found & native.FILLED or _within(image, fill):
        return target
    return warping.warp(image, placement, order=1, mode=mode, cval=cval)  # where skimage clips the borders' blends


def strips(image: Image, placement: warping.Placement, *, mode: str, cval: float) -> Iterator[Image]:
    """What `warp` gives, some rows at a time from top to bottom, where `is_plain` says so."""
    height, width = placement.output_size
    fill = cval * depth.white(image.dtype)
    row_bytes = width * image[0, :1].nbytes
    rows = max(1, STRIP_BYTES // row_bytes)
    for top in range(0, height, rows):
        strip = np.empty((min(rows, height - top), width, *image.shape[2:]), image.dtype)
        native.warp(image, placement.matrix, strip, mode=mode, fill=fill, first=top)
        yield strip


def is_plain(placement: warping.Placement, height: int, width: int, mode: str) -> bool:
    """Whether skimage clips nothing, whatever the pixels are: a corner of the result shows the fill, or none can.

    ``height`` and ``width`` are those of the input.
    """
    if mode != "constant":
        return True
    bottom, right = placement.output_size[0] - 1, placement.output_size[1] - 1
    corners = np.array([[0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1]], np.float64)
    columns, rows = (placement.matrix @ corners.T)[:2]
    beside = (columns < -OUTSIDE) | (columns > width - 1 + OUTSIDE)
    return bool((beside | (rows < -OUTSIDE) | (rows > height - 1 + OUTSIDE)).any())


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
