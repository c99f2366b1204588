"""Operations of one's own: `batchimg submit --dataset ./images --operations samples/operations/film.py --op vignette`.

An operation takes an image and returns one; what it may be given stands after the `*`, each with a type and a default.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from batchimg_worker.operations import measure, operation

Part = Annotated[float, Ge(0), Le(1)]


@operation(primary="strength")
def vignette(image, *, strength: Part = 0.5):
    """Darken the corners, as an old lens does.

    Parameters
    ----------
    strength : 0 to 1
        How much of the light the corners lose.
    """
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = (1 - strength * (x**2 + y**2) / 2).astype(np.float32)
    if image.ndim == 2:
        return (image * light).astype(image.dtype)
    result = image.copy()  # an operation never changes its input
    colours = 3 if image.shape[2] >= 3 else 1  # alpha, where there is any, stays
    result[..., :colours] = (image[..., :colours] * light[..., None]).astype(image.dtype)
    return result


@measure()
def clipped(image) -> dict[str, float]:
    """Which part of the values is quite black, and which quite white."""
    white = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    return {"black": float(np.mean(image <= 0)), "white": float(np.mean(image >= white))}
