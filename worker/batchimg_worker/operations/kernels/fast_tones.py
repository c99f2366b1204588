"""Tables and equalization of 8-bit images with the C kernels; arrays are contiguous."""

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import native

LEVELS = 256
GREY_LEVELS = 1 << 14
"""What scikit-image computes CLAHE in; it puts 65 of these into a bin."""

BINS = 256
BIN_SIZE = 1 + GREY_LEVELS // BINS
PARTS = 8
"""A region is this part of a side where no size is given."""


def look_up(image: Image, table: npt.NDArray[np.uint8]) -> Image:
    """Every value by a table of 256."""
    target = np.empty_like(image)
    native.function("lookup_u8")(image.ctypes.data, image.size, table.ctypes.data, target.ctypes.data)
    return target


def strongest(image: Image) -> Image:
    """The largest colour of each pixel, (height, width); ``image`` has three or four channels."""
    target = np.empty(image.shape[:2], np.uint8)
    native.function("strongest_u8")(image.ctypes.data, target.size, image.shape[2], target.ctypes.data)
    return target


def counts(plane: Image) -> npt.NDArray[np.int64]:
    """How often each level occurs; the rows of ``plane`` are contiguous, the whole need not be."""
    found = np.zeros(LEVELS, np.int64)
    native.function("counts_u8")(plane.ctypes.data, plane.strides[0], *plane.shape, found.ctypes.data)
    return found


def with_value(image: Image, value: Image, fresh: Plane) -> Image:
    """Every colour times ``fresh / value``, levels both; black becomes grey, alpha stays."""
    target = np.empty_like(image)
    channels = image.shape[2] if image.ndim > 2 else 1
    native.function("revalue_u8")(
        image.ctypes.data, value.size, channels, value.ctypes.data, fresh.ctypes.data, target.ctypes.data
    )
    return target


def clahe(value: Image, clip_limit: float, kernel_size: int | None) -> Plane:
    """`skimage.exposure.equalize_adapthist` of a plane of 8 bits and several levels, as levels from 0 to 255."""
    size = tuple(kernel_size or max(side // PARTS, 1) for side in value.shape)
    bins = look_up(value, _bin_of_level(value))
    tables = _tables(bins, size, max(int(clip_limit * size[0] * size[1]), 1))
    target = np.empty(value.shape, np.float32)
    native.function("blend_tables")(
        bins.ctypes.data, *value.shape, *size, tables.ctypes.data, tables.shape[1], target.ctypes.data
    )
    low, high = float(target.min()), float(target.max())
    if low == high:  # which scikit-image clips instead of stretching it
        target.fill(255 if high > 0 else 0)
        return target
    target -= np.float32(low)
    target *= np.float32(255 / (high - low))
    return target


def _bin_of_level(value: Image) -> npt.NDArray[np.uint8]:
    """The image's levels spread over scikit-image's grey levels, and those put into bins."""
    low, high = int(value.min()), int(value.max())
    shares = (np.clip(np.arange(LEVELS), low, high) - low) / max(high - low, 1)
    spread: npt.NDArray[np.float64] = np.round(shares * (GREY_LEVELS - 1))
    return (spread // BIN_SIZE).astype(np.uint8)


def _tables(bins: Image, size: tuple[int, ...], limit: int) -> npt.NDArray[np.float32]:
    """The table of every region, (down, across, 256); those at the border stand there twice.

    The first region begins at the image's corner; what lacks at the end is the image mirrored.
    """
    lacking = [(0, -side % part) for side, part in zip(bins.shape, size, strict=True)]
    whole = np.pad(bins, lacking, mode="reflect") if any(map(any, lacking)) else bins
    down, across = (side // part for side, part in zip(whole.shape, size, strict=True))
    found = np.empty((down, across, BINS), np.int64)
    for row, column in np.ndindex(down, across):
        region = whole[row * size[0] : (row + 1) * size[0], column * size[1] : (column + 1) * size[1]]
        hist = counts(region)
        native.function("clip_counts")(hist.ctypes.data, BINS, limit)
        found[row, column] = hist
    levels = np.cumsum(found, axis=-1) * ((GREY_LEVELS - 1) / (size[0] * size[1]))
    tables = np.minimum(levels, GREY_LEVELS - 1).astype(np.int64).astype(np.float32)
    return np.pad(tables, ((1, 1), (1, 1), (0, 0)), mode="edge")
