"""Between the types of pixels: rounding back from float32, ranges, planes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image

BESIDE_WHITE = 0.5 / 65535
"""What rounding may leave beyond black and white in a float: less than half a level of 16 bits."""


def has_white(low: float, high: float) -> bool:
    """Whether floats from ``low`` to ``high`` lie from black (0) to white (1), but for rounding."""
    return low > -BESIDE_WHITE and high < 1 + BESIDE_WHITE


def planes(image: Image) -> list[Image]:
    """Every channel as a (height, width) view."""
    return [image] if image.ndim == 2 else [image[..., k] for k in range(image.shape[2])]


def white(dtype: np.dtype[Any]) -> float:
    """The largest grey level of an integer type; 1.0 for floats and bool."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def store(values: npt.NDArray[np.floating], target: Image) -> None:
    """Write float grey levels into an array of any image type: rounded half to even, and clipped."""
    if target.dtype == np.bool_:
        np.greater_equal(values, 0.5, out=target)
    elif np.issubdtype(target.dtype, np.floating):
        target[...] = values
    else:
        rounded = np.rint(values)
        target[...] = np.clip(rounded, 0, white(target.dtype), out=rounded)


def level(value: float, dtype: np.dtype[Any]) -> float:
    """The nearest value that a pixel of this type can have."""
    cell = np.empty(1, dtype)
    store(np.array([value], np.float32), cell)
    return float(cell[0])


def extremes(image: Image) -> tuple[float, float]:
    """The smallest and the largest value, NaN left out; `skimage.transform` clips to these."""
    return float(np.fmin.reduce(image, axis=None)), float(np.fmax.reduce(image, axis=None))


def clip(image: Image, low: float, high: float) -> None:
    """Clip in place, in the image's own type."""
    kind = image.dtype.type
    np.clip(image, kind(level(low, image.dtype)), kind(level(high, image.dtype)), out=image)
