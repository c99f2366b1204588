"""The Gaussian with the C kernels.

A narrow Gaussian is summed up: of an 8-bit image in fixed point, of others in float32. A wide one is done in three
steps, at a cost that does not grow with sigma: samples are taken ``stride`` pixels apart, filtered, and interpolated
between (see `splines`). The nearer the samples, the nearer the result is to scikit-image's kernel and its cut at
4 sigma, which 8 bits do not show. Before rounding, no image of 8 bits can be more than half a level of 255 off, none
of 16 more than 3.3 levels of 65535, made to show it; noise and patterns are less than 1 off.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import native, resampling
from batchimg_worker.operations.kernels.across import Across
from batchimg_worker.operations.kernels.smoothing import radius_of
from batchimg_worker.operations.kernels.splines import Sampled

MOST_RADIUS = 24
"""Of filters that are summed up, which is faster than sampling up to here."""

COARSE, FINE = 1.5, 5.0
"""Sigma, in strides: of 8 bits 1.5 or a little more; of deeper images 5, less only where the stride is 2."""

STRIP_VALUES = 1 << 20
"""Float values in each of the buffers of a strip, 4 MB."""

SHORT_ROWS = 256
"""Rows of a strip in fixed point, at least: up to twice `MOST_RADIUS` more are made and dropped."""

SAMPLE_VALUES = 2 << 20
GROUP = 32
"""Rows that are filtered along the columns at a time."""


Target: TypeAlias = Callable[[int, int], Image]
"""Where the rows of a result from one number to another are put, (rows, values)."""


def gaussian(image: Image, sigma: float, sigma_across: float | None = None) -> Image:
    """As `smoothing.gaussian`, for uint8, uint16 and float32; ``sigma_across`` is that along rows, if another."""
    sigmas = (sigma, sigma if sigma_across is None else sigma_across)
    if max(map(radius_of, sigmas)) == 0:
        return image.copy()
    target = np.empty_like(image)
    if _is_short(image, sigmas):
        native.smooth(image, _fixed_point(sigmas[0]), _fixed_point(sigmas[1]), target)
        return target
    result = _flat(target)
    for _ in _made(image, sigmas, lambda top, stop: result[top:stop]):
        """It is where it belongs."""
    return target


def strips(image: Image, sigma: float) -> Iterator[Image]:
    """What `gaussian` gives, some rows at a time from top to bottom."""
    if radius_of(sigma) == 0:
        yield image
    elif _is_short(image, (sigma, sigma)):
        yield from _short_strips(image, sigma)
    else:
        values = _flat(image).shape[1]
        for rows in _made(image, (sigma, sigma), lambda top, stop: np.empty((stop - top, values), image.dtype)):
            yield rows.reshape(len(rows), *image.shape[1:])


def _is_short(image: Image, sigmas: tuple[float, float]) -> bool:
    """Whether fixed point does it."""
    return image.dtype == np.uint8 and max(map(radius_of, sigmas)) <= MOST_RADIUS


def _short_strips(image: Image, sigma: float) -> Iterator[Image]:
    weights, radius = _fixed_point(sigma), radius_of(sigma)
    rows = max(SHORT_ROWS, STRIP_VALUES // _flat(image).shape[1])
    for top in range(0, len(image), rows):
        stop = min(top + rows, len(image))
        first = max(top - radius, 0)
        source = image[first : stop + radius]
        strip = np.empty_like(source)
        native.smooth(source, weights, weights, strip)
        yield strip[top - first : stop - first]


def _made(image: Image, sigmas: tuple[float, float], place: Target) -> Iterator[Image]:
    """The result in floating point, some rows at a time from top to bottom."""
    down, across = (_way(each, image.dtype.itemsize) for each in sigmas)
    if min(down.stride, across.stride) > 1 and _finite(image):
        yield from _by_samples(image, down, across, place)
    else:
        yield from _summed(image, sigmas, place)


def _way(sigma: float, value_bytes: int) -> Sampled:
    """How samples are taken; a stride of 1 where it is better not to. 8 bits take some of the samples of 16."""
    fine = max(2, int(sigma / FINE)) if radius_of(sigma) > MOST_RADIUS else 1
    if value_bytes > 1:
        return Sampled(sigma, fine, 4 if sigma >= fine * FINE else 6)
    return Sampled(sigma, fine * max(1, int(sigma / fine / COARSE)), 4)


def _finite(image: Image) -> bool:
    """What is not finite spreads over as many pixels as the kernel has, not over those of samples."""
    return image.dtype != np.float32 or bool(np.isfinite(image.min()) and np.isfinite(image.max()))


def spacing(sigma: float) -> tuple[int, int]:
    """How far apart `gaussian` takes samples, and how many pixels around show in a result.

    Both are right for all types. Only 8 bits look further than the second; beyond is a thousandth of a level.
    """
    radius = radius_of(sigma)
    return (1, radius) if radius <= MOST_RADIUS else (_way(sigma, 1).stride, int(5.5 * sigma) + 2)


def _fixed_point(sigma: float) -> npt.NDArray[np.uint16]:
    """Weights from the middle on, in parts of 2^16 whose sum is exact; that of the middle is halved."""
    weights = resampling.gaussian_weights(sigma)[radius_of(sigma) :]
    parts = np.rint(weights * 2**16)
    parts[0] = 2**15 - parts[1:].sum()
    return parts.astype(np.uint16)


def _flat(image: Image) -> Image:
    """Rows of values, channels side by side."""
    return image.reshape(image.shape[0], -1)


def _summed(image: Image, sigmas: tuple[float, float], place: Target) -> Iterator[Image]:
    """Weighted sums along the columns, then along the rows, strip by strip."""
    height, width = image.shape[:2]
    source = _flat(image)
    values, channels = source.shape[1], source.shape[1] // width
    weights = resampling.gaussian_weights(sigmas[1])
    pad = len(weights) // 2 * channels
    strip = np.empty((max(1, min(height, STRIP_VALUES // (values + 2 * pad))), values + 2 * pad), np.float32)
    for top in range(0, height, len(strip)):
        rows = strip[: height - top]
        count = len(rows)
        down = resampling.smoothing(np.arange(top, top + count), height, sigmas[0])
        first, last = int(down.index.min()), int(down.index.max()) + 1
        floats = _as_float(source[first:last])
        native.weighted_rows(floats, down.index - np.int32(first), down.weights, rows[:, pad : pad + values])
        for edge, column in ((rows[:, :pad], pad), (rows[:, pad + values :], pad + values - channels)):
            edge.reshape(count, -1, channels)[...] = rows[:, None, column : column + channels]
        result = place(top, top + count)
        _along(rows, weights, channels, result)
        yield result


def _as_float(rows: Image) -> Plane:
    """Converted once instead of for every weight."""
    if rows.dtype == np.float32:
        return rows
    floats = np.empty(rows.shape, np.float32)
    native.weighted_rows(
        rows, np.arange(len(rows), dtype=np.int32)[:, None], np.ones((len(rows), 1), np.float32), floats
    )
    return floats


@dataclass(frozen=True)
class _Grid:
    """Samples of one axis that the outputs from start to stop need: from ``low``, ``count`` of them.

    ``margin`` more on either side are needed to smooth those.
    """

    length: int
    start: int
    stop: int
    kernel: Sampled

    @property
    def margin(self) -> int:
        return self.kernel.margin

    @property
    def low(self) -> int:
        return self.kernel.first(self.start)

    @property
    def count(self) -> int:
        return self.kernel.first(self.stop - 1) + self.kernel.most - self.low

    def sampling(self, first: int, last: int) -> resampling.Taps:
        """From pixels to the samples from first to last, counted from the first that the margin needs."""
        return self.kernel.sampling(self.low - self.margin + np.arange(first, last), self.length)


def _by_samples(image: Image, down: Sampled, across: Sampled, place: Target) -> Iterator[Image]:
    height, width = image.shape[:2]
    source = _flat(image)
    channels = source.shape[1] // width
    columns = _Grid(width, 0, width, across)
    halo = 2 * down.margin + down.most
    held = max(GROUP, SAMPLE_VALUES // ((columns.count + 2 * columns.margin) * channels)) - halo
    step = max(held, halo // 2) * down.stride
    for top in range(0, height, step):
        rows = _Grid(height, top, min(top + step, height), down)
        samples = _sampled(source, rows, columns, channels)
        samples = _smoothed_down(samples, rows)
        samples = _smoothed_across(samples, columns, channels)
        yield from _interpolated(samples, rows, columns, channels, place)


def _group(values: int) -> int:
    return max(4, min(GROUP, STRIP_VALUES // values))


def _sampled(source: Image, rows: _Grid, columns: _Grid, channels: int) -> Plane:
    """Samples with their margins, (rows, columns * channels)."""
    count, across = rows.count + 2 * rows.margin, columns.count + 2 * columns.margin
    samples = np.empty((count, across * channels), np.float32)
    group = _group(source.shape[1])
    sampling = Across(across, columns.sampling)
    for first in range(0, count, group):
        last = min(first + group, count)
        strip = np.empty((last - first, source.shape[1]), np.float32)
        down = rows.sampling(first, last)
        native.weighted_rows(source, down.index, down.weights, strip)
        sampling.apply(strip, channels, samples[first:last])
    return samples


def _smoothed_down(samples: Plane, rows: _Grid) -> Plane:
    """The filter on the samples; takes the margin away."""
    weights = rows.kernel.smoothing()
    smooth = np.empty((rows.count, samples.shape[1]), np.float32)
    index = np.arange(rows.count)[:, None] + np.arange(len(weights))
    native.weighted_rows(samples, index.astype(np.int32), _repeated(weights, rows.count), smooth)
    return smooth


def _smoothed_across(samples: Plane, columns: _Grid, channels: int) -> Plane:
    smooth = np.empty((len(samples), columns.count * channels), np.float32)
    _along(samples, columns.kernel.smoothing(), channels, smooth)
    return smooth


def _repeated(weights: npt.NDArray[np.float64], rows: int) -> Plane:
    return np.ascontiguousarray(np.broadcast_to(weights.astype(np.float32), (rows, len(weights))))


def _along(rows: Plane, weights: npt.NDArray[np.float64], channels: int, target: Image) -> None:
    """Sums within contiguous rows, which are as much longer than those of the target as there are weights."""
    count = len(target)
    across = np.arange(len(weights), dtype=np.int32) * channels
    index = np.arange(count, dtype=np.int32)[:, None] * rows.shape[1] + across
    native.weighted_rows(rows.reshape(1, -1), index, _repeated(weights, count), target, step=1)


def _interpolated(samples: Plane, rows: _Grid, columns: _Grid, channels: int, place: Target) -> Iterator[Image]:
    """Back to pixels: the rows from rows.start to rows.stop of the result."""
    low, values = columns.low, columns.length * channels
    across = Across(columns.length, lambda start, stop: columns.kernel.interpolation(np.arange(start, stop), low))
    step = _group(values) * rows.kernel.stride
    for top in range(rows.start, rows.stop, step):
        stop = min(top + step, rows.stop)
        down = rows.kernel.interpolation(np.arange(top, stop), rows.low)
        first, last = int(down.index.min()), int(down.index.max()) + 1
        wide = np.empty((last - first, values), np.float32)
        across.apply(samples[first:last], channels, wide)
        result = place(top, stop)
        native.weighted_rows(wide, down.index - np.int32(first), down.weights, result)
        yield result
