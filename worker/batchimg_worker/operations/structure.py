"""Operations that find shapes: edges, threshold, morphology. Alpha stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from batchimg_worker.operations.costs import strip_bytes
from batchimg_worker.operations.registry import Scalar, Shape, operation
from batchimg_worker.operations.values import Fraction, percent_of, refuse_unreadable

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

SIGMA = 1.0
LOW_THRESHOLD, HIGH_THRESHOLD = 0.1, 0.2
BLOCK_SIZE = 51
CANNY_BYTES = 72
"""Bytes a pixel that canny holds, measured."""
LOCAL_VALUE_BYTES = 40


def _grey_shape(shape: Shape, **_: Scalar) -> Shape:
    """One channel, and alpha where there is one."""
    return (shape[0], shape[1], 2 - shape[2] % 2)


def _check_edges(
    *,
    method: str,
    sigma: float | None = None,
    low_threshold: float | None = None,
    high_threshold: float | None = None,
) -> None:
    given: dict[str, Scalar] = {"sigma": sigma, "low_threshold": low_threshold, "high_threshold": high_threshold}
    refuse_unreadable(method, given, dict.fromkeys(given, "canny"))
    low = LOW_THRESHOLD if low_threshold is None else low_threshold
    high = HIGH_THRESHOLD if high_threshold is None else high_threshold
    if low > high:
        raise ValueError(f"low_threshold must not be above high_threshold, and {low:g} is above {high:g}")


def _edges_bytes(shape: Shape, value_bytes: int, *, method: str, **_: Scalar) -> int:
    return shape[0] * shape[1] * (CANNY_BYTES + value_bytes) if method == "canny" else 0


@operation(primary="method", check=_check_edges, shape=_grey_shape, temporary=_edges_bytes)
def edges(
    image: Image,
    *,
    method: Literal["sobel", "canny"] = "sobel",
    sigma: Annotated[float, Gt(0), Le(100)] | None = None,
    low_threshold: Annotated[float, Ge(0), Le(1)] | None = None,
    high_threshold: Annotated[float, Ge(0), Le(1)] | None = None,
) -> Image:
    """Find edges of the luminance: sobel gives their strength in grey, canny thin white lines on black.

    Equals `skimage.filters.sobel` and `skimage.feature.canny` of `rgb2gray`. The result is grey; alpha stays; a 1-bit
    image becomes 8-bit grey. canny looks at the whole image at once.

    Parameters
    ----------
    method : sobel or canny
        Strength, or lines.
    sigma : pixels
        The blur before canny; without it 1.
    low_threshold : part of white
        Weaker edges are dropped by canny; without it 0.1.
    high_threshold : part of white
        Lines of canny begin only at edges as strong as this; without it 0.2.
    """
    from batchimg_worker.operations.reference import shapes

    if method == "sobel":
        return shapes.sobel(image)
    low = LOW_THRESHOLD if low_threshold is None else low_threshold
    high = HIGH_THRESHOLD if high_threshold is None else high_threshold
    return shapes.canny(image, SIGMA if sigma is None else sigma, low, high)


def _threshold_shorthand(value: Scalar) -> dict[str, Scalar]:
    percent = percent_of(value)
    return {"method": value} if percent is None else {"method": "level", "level": percent / 100}


def _check_threshold(
    *,
    method: str,
    level: float | None = None,
    block_size: int | None = None,
    offset: float | None = None,
) -> None:
    given: dict[str, Scalar] = {"level": level, "block_size": block_size, "offset": offset}
    refuse_unreadable(method, given, {"level": "level", "block_size": "local", "offset": "local"})
    if block_size is not None and block_size % 2 == 0:
        raise ValueError(f"block_size must be odd, and {block_size} is even")


def _threshold_bytes(shape: Shape, value_bytes: int, *, method: str, block_size: int | None = None, **_: Scalar) -> int:
    """A grey copy and the marks; sorting for otsu of floats; strips for local."""
    pixels = shape[0] * shape[1]
    copies = pixels * (2 * value_bytes + 2)
    if method == "local":
        halo = _local_halo(BLOCK_SIZE if block_size is None else block_size)
        return copies + strip_bytes((shape[0], shape[1], 1), halo, LOCAL_VALUE_BYTES)
    return copies + (pixels * 32 if method == "otsu" and value_bytes > 2 else 0)


def _local_halo(block_size: int) -> int:
    return int(4 * (block_size - 1) / 6 + 0.5)


@operation(shorthand=_threshold_shorthand, check=_check_threshold, shape=_grey_shape, temporary=_threshold_bytes)
def threshold(
    image: Image,
    *,
    method: Literal["otsu", "local", "level"] = "otsu",
    level: Annotated[Fraction, Le(1)] | None = None,
    block_size: Annotated[int, Ge(3), Le(2001)] | None = None,
    offset: Annotated[float, Ge(-1), Le(1)] | None = None,
) -> Image:
    """Black and white by luminance: above Otsu's level, above the mean of the surroundings, or above `50%`.

    Equals `rgb2gray`, rounded, above `skimage.filters.threshold_otsu` or `threshold_local`. The result is grey of the
    image's own type with only black and white in it; alpha stays; a 1-bit image becomes 8-bit grey.

    Parameters
    ----------
    method : otsu, local or level
        Where the limit comes from.
    level : 50% or 0.5
        The limit, a part of white, for level; without it 0.5.
    block_size : odd, pixels
        The side of the surroundings, for local; without it 51.
    offset : part of white
        What is taken off the mean, for local; without it 0.
    """
    from batchimg_worker.operations.reference import shapes

    if method == "otsu":
        return shapes.otsu(image)
    if method == "level":
        return shapes.above(image, 0.5 if level is None else level)
    return shapes.local(image, BLOCK_SIZE if block_size is None else block_size, 0.0 if offset is None else offset)


def _morphology_bytes(shape: Shape, value_bytes: int, *, radius: int, **_: Scalar) -> int:
    return strip_bytes(shape, 2 * radius, 2 * value_bytes)


@operation(primary="method", temporary=_morphology_bytes)
def morphology(
    image: Image,
    *,
    method: Literal["open", "close", "erode", "dilate"],
    footprint: Literal["disk", "square", "diamond"] = "disk",
    radius: Annotated[int, Ge(1), Le(50)] = 1,
) -> Image:
    """Shrink or grow what is bright: open removes bright specks, close dark ones, erode and dilate do half of it.

    Equals `skimage.morphology.opening`, `closing`, `erosion` and `dilation`, every colour for itself. Alpha stays.

    Parameters
    ----------
    method : open, close, erode or dilate
        Which.
    footprint : disk, square or diamond
        The shape of the neighbourhood.
    radius : pixels
        Its size: 2 radius + 1 wide and high.
    """
    from batchimg_worker.operations.reference import shapes

    return shapes.morph(image, method, footprint, radius)
