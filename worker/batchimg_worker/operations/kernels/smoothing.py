"""The Gaussian."""

from dataclasses import dataclass

import numpy as np

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels.tiles import separable

TRUNCATE = 4.0


def radius_of(sigma: float) -> int:
    """How far the kernel of `scipy.ndimage.gaussian_filter` reaches."""
    return int(TRUNCATE * sigma + 0.5)


@dataclass(frozen=True)
class GaussianAxis:
    """`scipy.ndimage.gaussian_filter1d`, which `skimage.filters.gaussian` applies along each axis."""

    length: int
    sigma: float

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The outputs and the radius around them, as far as the image goes."""
        radius = radius_of(self.sigma)
        return max(0, start - radius), min(self.length, stop + radius)

    def apply(self, block: Plane, axis: int, outputs: tuple[int, int], first: int) -> Plane:
        """Filter and drop the halo; a block ends early only where the image does."""
        from scipy import ndimage

        smooth = ndimage.gaussian_filter1d(block, self.sigma, axis=axis, mode="nearest", truncate=TRUNCATE)
        kept = slice(outputs[0] - first, outputs[1] - first)
        return smooth[kept] if axis == 0 else smooth[:, kept]


def gaussian(image: Image, sigma: float) -> Image:
    """`skimage.filters.gaussian` with mode nearest, channel by channel; a bool image becomes uint8."""
    target = np.empty(image.shape, np.uint8 if image.dtype == np.bool_ else image.dtype)
    separable(image, GaussianAxis(image.shape[0], sigma), GaussianAxis(image.shape[1], sigma), target)
    return target
