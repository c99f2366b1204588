"""Takes images apart and puts them together: colours and alpha, strips, levels of grey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.costs import strip_rows
from batchimg_worker.operations.kernels import depth, pixels

Values = npt.NDArray[np.floating[Any]]
WITH_ALPHA = (2, 4)
RGB = 3


def levels(image: Image) -> Image:
    """A 1-bit image as 8-bit grey; every other as it is."""
    return image * np.uint8(255) if image.dtype == np.bool_ else image


def colours(image: Image) -> Image:
    """A view of shape (height, width, 1 or 3), without alpha."""
    if image.ndim == 2:
        return image[..., None]
    return image[..., :-1] if image.shape[2] in WITH_ALPHA else image


def empty_like(image: Image) -> Image:
    """A result of the image's shape and type whose alpha is the image's and whose colours are to be filled in."""
    result = np.empty(image.shape, image.dtype)
    if image.ndim > 2 and image.shape[2] in WITH_ALPHA:
        result[..., -1] = image[..., -1]
    return result


def with_alpha_of(image: Image, plane: Image) -> Image:
    """A grey plane, with the alpha of the image where it has one."""
    if image.ndim == 2 or image.shape[2] not in WITH_ALPHA:
        return plane
    return np.stack([plane, image[..., -1].astype(plane.dtype, copy=False)], axis=2)


def grey(image: Image) -> Image:
    """The luminance as a plane of the image's type, rounded: `skimage.color.rgb2gray`."""
    return np.ascontiguousarray(colours(pixels.grayscale(levels(image)))[..., 0])


def grey_strip(image: Image, rows: slice, dtype: type[np.floating[Any]] = np.float32) -> Values:
    """The luminance of some rows, not rounded, where white is 1."""
    strip = colours(image)[rows].astype(dtype)
    strip /= depth.white(image.dtype)
    if strip.shape[2] == 1:
        return strip[..., 0]
    luminance: Values = strip @ np.array([0.2125, 0.7154, 0.0721], dtype)
    return luminance


def strips(image: Image, halo: int = 0) -> Iterator[tuple[slice, slice, slice]]:
    """For each strip of rows: where it is, with its halo, and where it is within that."""
    height, width = image.shape[:2]
    step = strip_rows((height, width, image.shape[2] if image.ndim > 2 else 1), halo)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        first, last = max(0, top - halo), min(height, bottom + halo)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)


def by_level(image: Image, function: Callable[[Values], Values]) -> Image:
    """Apply a function of one value to every colour; black is 0 and white 1, floats are taken as they are."""
    image = levels(image)
    result = empty_like(image)
    source, target = colours(image), colours(result)
    if image.dtype.kind == "f":
        for rows, _, _ in strips(image):
            target[rows] = function(source[rows])
        return result
    white = depth.white(image.dtype)
    table = np.empty(int(white) + 1, image.dtype)
    depth.store(function(np.arange(int(white) + 1) / white) * white, table)
    for rows, _, _ in strips(image):
        target[rows] = table[source[rows]]
    return result


def by_neighbours(image: Image, halo: int, function: Callable[[Values], Values]) -> Image:
    """Apply a function of float32 strips (rows, columns, 1 or 3), white 1, that looks ``halo`` rows up and down."""
    image = levels(image)
    result = empty_like(image)
    source, target = colours(image), colours(result)
    white = np.float32(depth.white(image.dtype))
    for rows, around, inside in strips(image, halo):
        values = function(source[around].astype(np.float32) / white)[inside]
        depth.store(values * white, target[rows])
    return result


def by_plane(image: Image, function: Callable[[Values], Values]) -> Image:
    """Apply a function of a whole float32 plane, white 1, to every colour."""
    image = levels(image)
    result = empty_like(image)
    white = np.float32(depth.white(image.dtype))
    for source, target in zip(depth.planes(colours(image)), depth.planes(colours(result)), strict=True):
        depth.store(function(source.astype(np.float32) / white) * white, target)
    return result


def two_levels(image: Image, marked: npt.NDArray[np.bool_]) -> Image:
    """Black and white of the image's type, with its alpha."""
    plane = marked if image.dtype == np.bool_ else marked * image.dtype.type(depth.white(image.dtype))
    return with_alpha_of(image, plane)


def counts(image: Image) -> npt.NDArray[np.int64]:
    """How often each level occurs in an image of integers."""
    largest = int(depth.white(image.dtype)) + 1
    total = np.zeros(largest, np.int64)
    for rows, _, _ in strips(image):
        total += np.bincount(image[rows].ravel(), minlength=largest)
    return total
