"""Resizing with the C kernels."""

import numpy as np

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import native, resampling
from batchimg_worker.operations.kernels.across import Across
from batchimg_worker.operations.kernels.scaling import ResizeAxis

STRIP_VALUES = 1 << 20


def resize(image: Image, height: int, width: int, *, anti_aliasing: bool | None) -> Image:
    """As `scaling.resize` with order 1, for uint8, uint16 and float32; linear weights need no clipping."""
    if anti_aliasing is None:
        anti_aliasing = height < image.shape[0] or width < image.shape[1]
    rows = ResizeAxis(image.shape[0], height, 1, anti_aliasing)
    columns = ResizeAxis(image.shape[1], width, 1, anti_aliasing)
    return part(image, (rows, columns), ((0, height), (0, width)), (0, 0))


def part(
    image: Image,
    axes: tuple[ResizeAxis, ResizeAxis],
    outputs: tuple[tuple[int, int], tuple[int, int]],
    corner: tuple[int, int],
) -> Image:
    """Some rows and columns of the result; ``image`` begins at ``corner`` of the whole and holds all they need."""
    (first_row, last_row), (first_column, last_column) = outputs
    height, width = last_row - first_row, last_column - first_column
    target = np.empty((height, width, *image.shape[2:]), image.dtype)
    source, result = image.reshape(image.shape[0], -1), target.reshape(height, -1)
    channels = source.shape[1] // image.shape[1]

    def columns_of(start: int, stop: int) -> resampling.Taps:
        return _taps(axes[1], (first_column + start, first_column + stop), corner[1])

    across = Across(width, columns_of)
    step = max(1, STRIP_VALUES // max(source.shape[1], result.shape[1]))
    for top in range(0, height, step):
        stop = min(top + step, height)
        down = _taps(axes[0], (first_row + top, first_row + stop), corner[0])
        strip = np.empty((stop - top, source.shape[1]), np.float32)
        native.weighted_rows(source, down.index, down.weights, strip)
        values = np.empty((stop - top, result.shape[1]), np.float32)
        across.apply(strip, channels, values)
        _store(values, result[top:stop])
    return target


def _taps(axis: ResizeAxis, outputs: tuple[int, int], corner: int) -> resampling.Taps:
    """Counted from ``corner``."""
    taps = resampling.resizing(np.arange(*outputs), axis.size, axis.factor, axis.sigma)
    return taps if corner == 0 else resampling.Taps(taps.index - np.int32(corner), taps.weights)


def _store(values: Plane, target: Image) -> None:
    """Round to the type of the target."""
    if target.dtype == np.float32:
        target[...] = values
        return
    index = np.arange(len(values), dtype=np.int32)[:, None]
    native.weighted_rows(values, index, np.ones(index.shape, np.float32), target)
