"""Weights: which inputs make an output, along one axis."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Plane
from batchimg_worker.operations.kernels.smoothing import radius_of

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Taps:
    """Output j is the sum of ``weights[j]`` times the inputs at ``index[j]``; both have shape (outputs, taps)."""

    index: npt.NDArray[np.int32]
    weights: Plane


def _taps(index: Positions, weights: npt.NDArray[np.float64]) -> Taps:
    return Taps(np.ascontiguousarray(index, np.int32), np.ascontiguousarray(weights, np.float32))


def nearest(positions: Positions, length: int) -> Positions:
    """Where positions outside of the image are taken from: the border."""
    return np.clip(positions, 0, length - 1)


def mirrored(positions: Positions, length: int) -> Positions:
    """Where positions outside of the image are taken from: mirrored at the middle of the border pixel."""
    period = max(1, 2 * length - 2)
    inside = positions % period
    return np.minimum(inside, period - inside)


def gaussian_weights(sigma: float) -> npt.NDArray[np.float64]:
    """The kernel of `scipy.ndimage.gaussian_filter1d`."""
    radius = radius_of(sigma)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    normal: npt.NDArray[np.float64] = weights / weights.sum()
    return normal


def smoothing(positions: Positions, length: int, sigma: float) -> Taps:
    """The Gaussian at some positions, in or outside of the image."""
    weights = gaussian_weights(sigma)
    radius = len(weights) // 2
    index = nearest(positions[:, None] + np.arange(-radius, radius + 1), length)
    return _taps(index, np.broadcast_to(weights, index.shape))


def resizing(outputs: Positions, size: int, factor: float, sigma: float) -> Taps:
    """A Gaussian, then linear interpolation at the outputs' centres, ``factor`` inputs apart; borders mirrored."""
    places = (outputs + 0.5) * factor - 0.5
    left = np.floor(places).astype(np.intp)
    part = (places - left)[:, None]
    weights = gaussian_weights(sigma) if sigma > 0 else np.ones(1)
    radius = len(weights) // 2
    both = np.append(weights, 0) * (1 - part) + np.append(0, weights) * part
    return _taps(mirrored(left[:, None] + np.arange(-radius, radius + 2), size), both)
