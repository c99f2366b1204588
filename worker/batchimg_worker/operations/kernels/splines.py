"""A truncated Gaussian by way of samples: the weights of its three filters, along one axis.

B-splines take samples ``stride`` pixels apart and interpolate between them. Both vanish at all multiples of the
sampling frequency, to the order of the spline, so that nothing aliases that a Gaussian of some strides lets through.
The filter on the samples makes up for what they smooth: of all filters it brings the three nearest to the kernel of
scikit-image, the cut at 4 sigma included.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.kernels.resampling import Positions, Taps, gaussian_weights, nearest
from batchimg_worker.operations.kernels.smoothing import radius_of

Weights = npt.NDArray[np.float64]

BEYOND = 1
"""Samples that the filter between them reaches beyond the radius of the Gaussian."""


@dataclass(frozen=True)
class Sampled:
    """A Gaussian of ``sigma`` pixels, by samples at the multiples of ``stride``.

    ``order`` tells how many box filters of ``stride`` pixels a spline is: even, so that it has a pixel in its middle.
    """

    sigma: float
    stride: int
    order: int

    @property
    def edge(self) -> int:
        """How many pixels a spline reaches to either side."""
        return self.order * (self.stride - 1) // 2

    @property
    def margin(self) -> int:
        """How many samples the filter between the splines reaches to either side."""
        return -(-radius_of(self.sigma) // self.stride) + BEYOND

    @property
    def reach(self) -> int:
        """How many pixels to either side a result depends on."""
        return self.margin * self.stride + 2 * self.edge

    @property
    def most(self) -> int:
        """How many samples a pixel is interpolated from, at most."""
        return 2 * self.edge // self.stride + 1

    def first(self, pixel: int) -> int:
        """The first of the ``most`` samples that a pixel is interpolated from."""
        return -((self.edge - pixel) // self.stride)

    def sampling(self, samples: Positions, length: int) -> Taps:
        """From pixels, of which those beyond the border are as the border is, to samples."""
        index = nearest(samples[:, None] * self.stride + np.arange(-self.edge, self.edge + 1), length)
        weights = np.broadcast_to(_spline(self.stride, self.order), index.shape)
        return Taps(np.ascontiguousarray(index, np.int32), np.ascontiguousarray(weights, np.float32))

    def smoothing(self) -> Weights:
        """From samples to samples."""
        return _smoothing(self)

    def interpolation(self, pixels: Positions, first: int) -> Taps:
        """From samples, counted from ``first``, to pixels."""
        start = -((self.edge - pixels) // self.stride)
        samples = start[:, None] + np.arange(self.most)
        spline = np.append(_spline(self.stride, self.order), np.zeros(self.stride)) * self.stride
        weights = spline[samples * self.stride - pixels[:, None] + self.edge]
        return Taps(np.ascontiguousarray(samples - first, np.int32), np.ascontiguousarray(weights, np.float32))


@lru_cache(64)
def _spline(stride: int, order: int) -> Weights:
    """Some boxes of ``stride`` pixels after each other; the sum is 1."""
    weights = np.ones(1)
    for _ in range(order):
        weights = np.convolve(weights, np.full(stride, 1 / stride))
    return weights


@lru_cache(64)
def _smoothing(kernel: Sampled) -> Weights:
    """The least squares of the difference to the Gaussian, summed over the pixels between two samples.

    Moving all by a sample changes nothing, so that the normal equations depend on differences of numbers only: on
    the left what four splines make of a sample, on the right the Gaussian after two of them.
    """
    stride = kernel.stride
    two = _spline(stride, 2 * kernel.order)
    samples = stride * two[len(two) // 2 % stride :: stride]
    four = np.convolve(samples, samples)
    far = len(four) // 2 + 1
    steps = np.arange(-kernel.margin, kernel.margin + 1)
    left = np.append(four[far - 1 :], 0)[np.minimum(np.abs(steps[:, None] - steps), far)]
    smooth = np.convolve(np.pad(gaussian_weights(kernel.sigma), stride * (BEYOND + 1)), two)
    weights: Weights = np.linalg.solve(left, smooth[len(smooth) // 2 + steps * stride])
    weights /= weights.sum()
    return weights
