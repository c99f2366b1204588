"""Kernels that look at one pixel at a time, or only move pixels."""

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth

STRIP_VALUES = 1 << 20
"""How many values a strip of rows holds at most, where rows are converted to float."""

RGB = 3


def flip(image: Image, *, horizontal: bool) -> Image:
    """Mirror left and right, or top and bottom."""
    return np.ascontiguousarray(image[:, ::-1] if horizontal else image[::-1])


def crop(image: Image, rows: slice, columns: slice) -> Image:
    """A copy of the rectangle: a view would keep the whole image alive."""
    return image[rows, columns].copy()


def grayscale(image: Image) -> Image:
    """`skimage.color.rgb2gray` in strips; alpha is carried over, grey images are returned as they are."""
    if image.ndim == 2 or image.shape[2] < RGB:
        return image
    from skimage.color import rgb2gray

    height, width, channels = image.shape
    alpha = channels - RGB
    grey = np.empty((height, width, 1 + alpha), image.dtype)
    step = max(1, STRIP_VALUES // (width * RGB))
    for top in range(0, height, step):
        strip = image[top : top + step]
        depth.store(rgb2gray(strip[..., :RGB].astype(np.float32)), grey[top : top + step, :, 0])
        grey[top : top + step, :, 1:] = strip[..., RGB:]
    return grey if alpha else grey[..., 0]


def channel_means(image: Image) -> tuple[float, ...]:
    """The mean of every channel, summed in float64."""
    return tuple(float(plane.mean(dtype=np.float64)) for plane in depth.planes(image))
