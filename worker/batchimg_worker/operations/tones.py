"""Operations on brightness: contrast, gamma, brightness, invert, normalize, equalize. Alpha stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from batchimg_worker.operations.costs import whole
from batchimg_worker.operations.registry import Scalar, Shape, operation
from batchimg_worker.operations.values import Fraction, percent_of, refuse_unreadable

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

CLIP_LIMIT = 0.01
CLAHE_BYTES = 48
HISTOGRAM_BYTES = 32
"""Bytes a pixel that `equalize` holds, measured."""


def _factor_shorthand(value: Scalar) -> dict[str, Scalar]:
    percent = percent_of(value)
    if percent is not None:
        return {"factor": percent / 100}
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"cannot read {value!r}; write 120%, or 1.2")  # noqa: TRY004 - `bind` tells ValueErrors
    return {"factor": value}


def _check_contrast(
    *,
    method: str,
    factor: float | None = None,
    gain: float | None = None,
    cutoff: float | None = None,
) -> None:
    given: dict[str, Scalar] = {"factor": factor, "gain": gain, "cutoff": cutoff}
    refuse_unreadable(method, given, {"factor": "linear", "gain": "sigmoid", "cutoff": "sigmoid"})


@operation(shorthand=_factor_shorthand, check=_check_contrast)
def contrast(
    image: Image,
    *,
    method: Literal["linear", "sigmoid"] = "linear",
    factor: Annotated[Fraction, Le(100)] | None = None,
    gain: Annotated[float, Gt(0), Le(100)] | None = None,
    cutoff: Annotated[float, Ge(0), Le(1)] | None = None,
) -> Image:
    """Move grey levels away from mid-grey, or towards it: `120%` is more contrast, `80%` less.

    Linear equals `skimage.exposure.rescale_intensity` with `in_range=(0.5 - 0.5/factor, 0.5 + 0.5/factor)`, sigmoid
    equals `skimage.exposure.adjust_sigmoid`. Alpha stays; a 1-bit image becomes 8-bit grey.

    Parameters
    ----------
    method : linear or sigmoid
        Linear cuts what leaves black and white off; sigmoid bends it.
    factor : 120% or 1.2
        How much, for linear; without it 1.25.
    gain : above 0
        How much, for sigmoid; without it 7.
    cutoff : 0 to 1
        The level that becomes mid-grey, for sigmoid; without it 0.5.
    """
    from batchimg_worker.operations.reference import tones

    if method == "sigmoid":
        return tones.sigmoid(image, 0.5 if cutoff is None else cutoff, 7.0 if gain is None else gain)
    return tones.linear(image, 1.25 if factor is None else factor)


@operation(primary="gamma")
def gamma(
    image: Image, *, gamma: Annotated[float, Gt(0), Le(100)], gain: Annotated[float, Ge(0), Le(100)] = 1.0
) -> Image:
    """Raise every level to a power: below 1 the dark parts become lighter, above 1 darker.

    Equals `skimage.exposure.adjust_gamma`. Alpha stays; a 1-bit image becomes 8-bit grey.

    Parameters
    ----------
    gamma : above 0
        The exponent, where black is 0 and white 1.
    gain : 0 or more
        What the result is multiplied by.
    """
    from batchimg_worker.operations.reference import tones

    return tones.gamma(image, gamma, gain)


@operation(shorthand=_factor_shorthand)
def brightness(image: Image, *, factor: Annotated[Fraction, Le(100)]) -> Image:
    """Multiply every level: `120%` is lighter, `80%` darker. Without a value it is a measure.

    Equals `skimage.exposure.adjust_gamma` with gamma 1 and this gain. Alpha stays; a 1-bit image becomes 8-bit grey.

    Parameters
    ----------
    factor : 120% or 1.2
        How much lighter; what exceeds white is white.
    """
    from batchimg_worker.operations.reference import layers

    return layers.by_level(image, lambda values: values * factor)


@operation()
def invert(image: Image) -> Image:
    """Turn black into white and every colour into its opposite.

    Equals `skimage.util.invert`. Alpha stays; a float image becomes 1 minus itself.
    """
    from batchimg_worker.operations.reference import tones

    return tones.invert(image)


def _check_normalize(*, low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low must be below high, and {low:g} is not below {high:g}")


def _float_copy(shape: Shape, value_bytes: int, **_: Scalar) -> int:
    """Percentiles of floats need a sorted copy; integers are counted."""
    return 3 * shape[0] * shape[1] * shape[2] * value_bytes if value_bytes > 2 else 0


@operation(check=_check_normalize, temporary=_float_copy)
def normalize(
    image: Image,
    *,
    low: Annotated[float, Ge(0), Le(100)] = 1.0,
    high: Annotated[float, Ge(0), Le(100)] = 99.0,
) -> Image:
    """Stretch the levels so that the darkest become black and the brightest white; colours keep their hue.

    Equals `skimage.exposure.rescale_intensity` from two percentiles of all colours together. An image of one level
    stays as it is. Alpha stays; a 1-bit image becomes 8-bit grey; a float image lies from 0 to 1 afterwards.

    Parameters
    ----------
    low : 0 to 100
        The percentile that becomes black.
    high : 0 to 100
        The percentile that becomes white.
    """
    from batchimg_worker.operations.reference import tones

    return tones.normalize(image, low, high)


def _check_equalize(*, method: str, clip_limit: float | None = None, kernel_size: int | None = None) -> None:
    given: dict[str, Scalar] = {"clip_limit": clip_limit, "kernel_size": kernel_size}
    refuse_unreadable(method, given, {"clip_limit": "clahe", "kernel_size": "clahe"})


def _equalize_bytes(shape: Shape, value_bytes: int, *, method: str, kernel_size: int | None = None, **_: Scalar) -> int:
    if method != "clahe":
        return whole(HISTOGRAM_BYTES)(shape, value_bytes)
    if kernel_size is not None:  # the image is continued to whole regions, and by half of one at each border
        down, across = ((-(-side // kernel_size) + 1) * kernel_size for side in shape[:2])
        shape = (down, across, shape[2])
    return whole(CLAHE_BYTES)(shape, value_bytes)


@operation(primary="method", check=_check_equalize, temporary=_equalize_bytes)
def equalize(
    image: Image,
    *,
    method: Literal["clahe", "histogram"] = "clahe",
    clip_limit: Annotated[float, Gt(0), Le(1)] | None = None,
    kernel_size: Annotated[int, Ge(1)] | None = None,
) -> Image:
    """Use all levels from black to white evenly: in every region (clahe), or in the image as a whole (histogram).

    Equals `skimage.exposure.equalize_adapthist` and `equalize_hist`, both on the value of HSV, so that hues stay.
    Alpha stays; a 1-bit image becomes 8-bit grey; a float image must lie from 0 to 1.

    Parameters
    ----------
    method : clahe or histogram
        Region by region, or all at once.
    clip_limit : 0 to 1
        More is more contrast, for clahe; without it 0.01.
    kernel_size : pixels
        The side of a region, for clahe; without it an eighth of the image's side.
    """
    from batchimg_worker.operations.reference import tones

    return tones.equalize(image, method, CLIP_LIMIT if clip_limit is None else clip_limit, kernel_size)
