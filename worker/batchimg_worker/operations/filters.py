"""Operations that mix neighbouring pixels: blur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le

from batchimg_worker.operations.registry import Scalar, operation
from batchimg_worker.operations.values import Percent, percent_of

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

FULL_BLUR = 0.02
"""The sigma of a blur of 100 %, as a part of the image's shorter side."""


def sigma_of(sides: tuple[int, ...], *, percent: float | None = None, sigma: float | None = None) -> float:
    """The sigma of a blur in pixels, of an image of this height and width."""
    return sigma if sigma is not None else (percent or 0.0) / 100 * FULL_BLUR * min(sides[:2])


def _blur_shorthand(value: Scalar) -> dict[str, Scalar]:
    percent = percent_of(value)
    if percent is None:
        raise ValueError(f"cannot read {value!r}; write 25% (of a strong blur), or {{sigma: 3}} for pixels")
    return {"percent": percent}


def _check_blur(*, percent: float | None = None, sigma: float | None = None) -> None:
    if (percent is None) == (sigma is None):
        raise ValueError("give either percent or sigma")


@operation(shorthand=_blur_shorthand, check=_check_blur)
def blur(
    image: Image,
    *,
    percent: Annotated[Percent, Le(1000)] | None = None,
    sigma: Annotated[float, Gt(0), Le(1000)] | None = None,
) -> Image:
    """Blur with a Gaussian: `25%` looks the same at any resolution, `{sigma: 3}` is in pixels.

    Equals `skimage.filters.gaussian` with mode nearest and truncate 4, every channel for itself, alpha too.
    A 1-bit image becomes an 8-bit grey one.

    Parameters
    ----------
    percent : percent
        Sigma is this part of 2 % of the image's shorter side.
    sigma : pixels
        The standard deviation.
    """
    from batchimg_worker.operations.kernels import smoothing

    return smoothing.gaussian(image, sigma_of(image.shape, percent=percent, sigma=sigma))
