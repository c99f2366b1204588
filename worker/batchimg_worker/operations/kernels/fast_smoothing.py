"""The Gaussian with the C kernels.

A narrow Gaussian of an 8-bit image is summed up in fixed point. A wide one is three: one before samples are taken
``stride`` pixels apart, one on the samples, one to interpolate between them. Their variances add up to sigma squared,
and the first and the last are wide enough to leave nothing of what sampling would alias (exp(-2 pi^2 0.7^2), a fiftieth
of a grey level). So the cost does not grow with sigma. 16-bit and float images show even the cut at 4 sigma, which a
cascade has not: they are summed up in float32.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import native, resampling
from batchimg_worker.operations.kernels.across import Across
from batchimg_worker.operations.kernels.smoothing import TRUNCATE, radius_of

EDGE_SIGMA = 0.7
"""Sigma of the first and the last of the three Gaussians, in strides."""

LEAST_SIGMA = 1.27
"""Sigma of all three together, in strides: leaves 0.8 for the one in the middle."""

MOST_RADIUS = 24
"""Of filters that are summed up in 16 bits, which is faster than sampling up to here."""

SMALLEST_STRIDE = 3
STRIP_VALUES = 1 << 20
"""Float values in each of the buffers of a strip, 4 MB."""

SAMPLE_VALUES = 3 << 20
GROUP = 32
"""Rows that are filtered along the columns at a time."""


def gaussian(image: Image, sigma: float, sigma_across: float | None = None) -> Image:
    """As `smoothing.gaussian`, for uint8, uint16 and float32; ``sigma_across`` is that along rows, if another."""
    sigmas = (sigma, sigma if sigma_across is None else sigma_across)
    if max(map(radius_of, sigmas)) == 0:
        return image.copy()
    target = np.empty_like(image)
    strides = (int(sigmas[0] / LEAST_SIGMA), int(sigmas[1] / LEAST_SIGMA))
    if image.dtype == np.uint8 and max(map(radius_of, sigmas)) <= MOST_RADIUS:
        native.smooth(image, _fixed_point(sigmas[0]), _fixed_point(sigmas[1]), target)
    elif image.dtype == np.uint8 and min(strides) >= SMALLEST_STRIDE:
        _by_samples(image, sigmas, strides, target)
    else:
        _summed(image, sigmas, target)
    return target


def spacing(sigma: float) -> tuple[int, int]:
    """How far apart `gaussian` takes samples of 8 bits, and how many pixels around show in a result.

    The second is beyond the radius where there are samples: a cascade is not cut at 4 sigma, and has less than a
    thousandth of a level beyond 5.
    """
    stride, radius = int(sigma / LEAST_SIGMA), radius_of(sigma)
    if radius <= MOST_RADIUS or stride < SMALLEST_STRIDE:
        return 1, radius
    return stride, int(5 * sigma) + 2


def _fixed_point(sigma: float) -> npt.NDArray[np.uint16]:
    """Weights from the middle on, in parts of 2^16 whose sum is exact; that of the middle is halved."""
    weights = resampling.gaussian_weights(sigma)[radius_of(sigma) :]
    parts = np.rint(weights * 2**16)
    parts[0] = 2**15 - parts[1:].sum()
    return parts.astype(np.uint16)


def _flat(image: Image) -> Image:
    """Rows of values, channels side by side."""
    return image.reshape(image.shape[0], -1)


def _summed(image: Image, sigmas: tuple[float, float], target: Image) -> None:
    """Weighted sums along the columns, then along the rows, strip by strip."""
    height, width = image.shape[:2]
    source, result = _flat(image), _flat(target)
    values, channels = source.shape[1], source.shape[1] // width
    weights = resampling.gaussian_weights(sigmas[1]).astype(np.float32)
    pad = len(weights) // 2 * channels
    strip = np.empty((max(1, min(height, STRIP_VALUES // (values + 2 * pad))), values + 2 * pad), np.float32)
    across = np.arange(len(weights), dtype=np.int32) * channels
    for top in range(0, height, len(strip)):
        rows = strip[: height - top]
        count = len(rows)
        down = resampling.smoothing(np.arange(top, top + count), height, sigmas[0])
        first, last = int(down.index.min()), int(down.index.max()) + 1
        floats = _as_float(source[first:last])
        native.weighted_rows(floats, down.index - np.int32(first), down.weights, rows[:, pad : pad + values])
        for edge, column in ((rows[:, :pad], pad), (rows[:, pad + values :], pad + values - channels)):
            edge.reshape(count, -1, channels)[...] = rows[:, None, column : column + channels]
        index = np.arange(count, dtype=np.int32)[:, None] * strip.shape[1] + across
        repeated = np.ascontiguousarray(np.broadcast_to(weights, index.shape))
        native.weighted_rows(rows.reshape(1, -1), index, repeated, result[top : top + count], step=1)


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
    stride: int
    sigma: float

    @property
    def edge(self) -> float:
        return EDGE_SIGMA * self.stride

    @property
    def middle(self) -> float:
        """Sigma of the Gaussian on the samples."""
        return float(np.sqrt(self.sigma**2 - 2 * self.edge**2)) / self.stride

    @property
    def margin(self) -> int:
        return radius_of(self.middle)

    @property
    def low(self) -> int:
        return int(np.floor((self.start - TRUNCATE * self.edge) / self.stride))

    @property
    def count(self) -> int:
        return int(np.ceil((self.stop - 1 + TRUNCATE * self.edge) / self.stride)) + 2 - self.low

    def sampling(self, first: int, last: int) -> resampling.Taps:
        """From pixels to the samples from first to last, counted from the first that the margin needs."""
        at = (self.low - self.margin + np.arange(first, last)) * self.stride
        return resampling.smoothing(at, self.length, self.edge)

    def interpolation(self, start: int, stop: int, first: int) -> resampling.Taps:
        """From samples (row 0 is sample ``first``) to the pixels from start to stop."""
        return resampling.gaussian_interpolation(np.arange(start, stop), first, self.stride, self.edge)


def _by_samples(image: Image, sigmas: tuple[float, float], strides: tuple[int, int], target: Image) -> None:
    height, width = image.shape[:2]
    source, result = _flat(image), _flat(target)
    channels = source.shape[1] // width
    columns = _Grid(width, 0, width, strides[1], sigmas[1])
    halo = 2 * (_Grid(height, 0, height, strides[0], sigmas[0]).margin + int(TRUNCATE * EDGE_SIGMA) + 2)
    held = max(GROUP, SAMPLE_VALUES // ((columns.count + 2 * columns.margin) * channels)) - halo
    step = max(held, halo) * strides[0]
    for top in range(0, height, step):
        rows = _Grid(height, top, min(top + step, height), strides[0], sigmas[0])
        samples = _smoothed(_sampled(source, rows, columns, channels), rows, columns, channels)
        _interpolated(samples, rows, columns, channels, result)


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


def _smoothed(samples: Plane, rows: _Grid, columns: _Grid, channels: int) -> Plane:
    """The Gaussian in the middle; takes the margins away."""
    weights = resampling.gaussian_weights(rows.middle).astype(np.float32)
    steps = np.arange(len(weights), dtype=np.int32)
    down = np.empty((rows.count, samples.shape[1]), np.float32)
    index = np.arange(rows.count, dtype=np.int32)[:, None] + steps
    native.weighted_rows(samples, index, np.ascontiguousarray(np.broadcast_to(weights, index.shape)), down)
    smooth = np.empty((rows.count, columns.count * channels), np.float32)
    index = np.arange(rows.count, dtype=np.int32)[:, None] * down.shape[1] + steps * channels
    repeated = np.ascontiguousarray(np.broadcast_to(weights, index.shape))
    native.weighted_rows(down.reshape(1, -1), index, repeated, smooth, step=1)
    return smooth


def _interpolated(samples: Plane, rows: _Grid, columns: _Grid, channels: int, result: Image) -> None:
    """Back to pixels: the rows from rows.start to rows.stop of ``result``."""
    across = Across(columns.length, lambda start, stop: columns.interpolation(start, stop, columns.low))
    group = _group(result.shape[1])
    step = group * rows.stride
    for top in range(rows.start, rows.stop, step):
        stop = min(top + step, rows.stop)
        down = rows.interpolation(top, stop, rows.low)
        first, last = int(down.index.min()), int(down.index.max()) + 1
        wide = np.empty((last - first, result.shape[1]), np.float32)
        across.apply(samples[first:last], channels, wide)
        native.weighted_rows(wide, down.index - np.int32(first), down.weights, result[top:stop])
