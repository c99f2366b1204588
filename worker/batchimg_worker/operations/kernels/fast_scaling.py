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
    target = np.empty((height, width, *image.shape[2:]), image.dtype)
    source, result = image.reshape(image.shape[0], -1), target.reshape(height, -1)
    channels = source.shape[1] // image.shape[1]
    rows = ResizeAxis(image.shape[0], height, 1, anti_aliasing)
    columns = ResizeAxis(image.shape[1], width, 1, anti_aliasing)
    across = Across(width, lambda first, last: _taps(columns, first, last))
    step = max(1, STRIP_VALUES // max(source.shape[1], result.shape[1]))
    for top in range(0, height, step):
        stop = min(top + step, height)
        down = _taps(rows, top, stop)
        strip = np.empty((stop - top, source.shape[1]), np.float32)
        native.weighted_rows(source, down.index, down.weights, strip)
        values = np.empty((stop - top, result.shape[1]), np.float32)
        across.apply(strip, channels, values)
        _store(values, result[top:stop])
    return target


def _taps(axis: ResizeAxis, start: int, stop: int) -> resampling.Taps:
    return resampling.resizing(np.arange(start, stop), axis.size, axis.factor, axis.sigma)


def _store(values: Plane, target: Image) -> None:
    """Round to the type of the target."""
    if target.dtype == np.float32:
        target[...] = values
        return
    index = np.arange(len(values), dtype=np.int32)[:, None]
    native.weighted_rows(values, index, np.ones(index.shape, np.float32), target)
