"""Resizing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.kernels.smoothing import TRUNCATE, radius_of
from batchimg_worker.operations.kernels.tiles import separable

Order = Literal[0, 1, 3]

SPLINE_HALO = 24
"""Beyond this many pixels a cubic spline's weight is below 1e-13."""


@dataclass(frozen=True)
class ResizeAxis:
    """One direction of `skimage.transform.resize`: a Gaussian against aliasing, then `scipy.ndimage.zoom`."""

    size: int
    length: int
    order: Order
    anti_aliasing: bool

    @property
    def factor(self) -> float:
        """Input pixels an output pixel."""
        return self.size / self.length

    @property
    def sigma(self) -> float:
        """scikit-image's choice: 0 where the image grows."""
        return max(0.0, (self.factor - 1) / 2) if self.anti_aliasing else 0.0

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The inputs under the outputs, with the reach of the filters."""
        reach = radius_of(self.sigma) + (SPLINE_HALO if self.order > 1 else 2)
        first = int(self._position(start)) - reach
        last = int(self._position(stop - 1)) + 1 + reach
        return max(0, first), min(self.size, last)

    def apply(self, block: Plane, axis: int, outputs: tuple[int, int], first: int) -> Plane:
        """Smooth, then sample at the outputs' centres; borders are mirrored, as ``mode='reflect'`` of numpy.pad."""
        from scipy import ndimage

        if self.sigma > 0:
            block = ndimage.gaussian_filter1d(block, self.sigma, axis=axis, mode="mirror", truncate=TRUNCATE)
        if self.order == 0:
            nearest = np.floor((np.arange(*outputs) + 0.5) * self.factor - 0.5 + 0.5).astype(np.intp)
            taken: Plane = np.take(block, np.clip(nearest, 0, self.size - 1) - first, axis=axis)
            return taken
        count = outputs[1] - outputs[0]
        steps, starts, shape = [1.0, 1.0], [0.0, 0.0], list(block.shape)
        steps[axis], starts[axis], shape[axis] = self.factor, self._position(outputs[0]) - first, count
        sampled: Plane = ndimage.affine_transform(
            block, steps, starts, tuple(shape), order=self.order, mode="mirror", prefilter=self.order > 1
        )
        return sampled

    def _position(self, output: int) -> float:
        """The centre of an output pixel in input pixels."""
        return (output + 0.5) * self.factor - 0.5


def axes(
    shape: tuple[int, ...], size: tuple[int, ...], *, order: Order, anti_aliasing: bool | None
) -> tuple[ResizeAxis, ResizeAxis]:
    """Rows and columns; both are smoothed where one of them shrinks, unless ``anti_aliasing`` says otherwise."""
    smooth = (size[0] < shape[0] or size[1] < shape[1]) if anti_aliasing is None else anti_aliasing
    return ResizeAxis(shape[0], size[0], order, smooth), ResizeAxis(shape[1], size[1], order, smooth)


def resize(image: Image, height: int, width: int, *, order: Order, anti_aliasing: bool | None) -> Image:
    """`skimage.transform.resize` to (height, width), clipped to the values of the input."""
    if image.dtype == np.bool_:
        order, anti_aliasing = 0, False
    elif anti_aliasing is None and order == 0 and np.issubdtype(image.dtype, np.integer):
        anti_aliasing = False
    rows, columns = axes(image.shape, (height, width), order=order, anti_aliasing=anti_aliasing)
    target = np.empty((height, width, *image.shape[2:]), image.dtype)
    separable(image, rows, columns, target)
    if order > 1:
        depth.clip(target, *depth.extremes(image))
    return target
