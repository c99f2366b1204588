"""Operations that sharpen and denoise. Alpha stays as it is."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from batchimg_worker.operations.costs import strip_bytes
from batchimg_worker.operations.registry import Scalar, Shape, operation
from batchimg_worker.operations.values import refuse_unreadable

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

WEIGHT = 0.05
SIGMA_COLOR = 0.05
SIGMA_SPATIAL = 2.0
H = 0.05
PATCH_SIZE = 5
PATCH_DISTANCE = 6
RADIUS = 1
OWNERS = {
    "weight": "tv",
    "sigma_color": "bilateral",
    "sigma_spatial": "bilateral",
    "h": "nl_means",
    "patch_size": "nl_means",
    "patch_distance": "nl_means",
    "radius": "median",
    "sigma": "wavelet",
}
STRIP_VALUE_BYTES = 28
TV_PIXEL_BYTES = 64
WAVELET_VALUE_BYTES = 64
"""What the methods hold, measured."""


def sharpen_halo(radius: float) -> int:
    """How far the blur of an unsharp mask looks: scikit-image cuts it at four sigma."""
    return int(4 * radius + 0.5)


def _sharpen_bytes(shape: Shape, value_bytes: int, *, radius: float, **_: Scalar) -> int:  # noqa: ARG001
    return strip_bytes(shape, sharpen_halo(radius), STRIP_VALUE_BYTES)


@operation(primary="amount", temporary=_sharpen_bytes)
def sharpen(
    image: Image,
    *,
    amount: Annotated[float, Gt(0), Le(100)] = 1.0,
    radius: Annotated[float, Gt(0), Le(500)] = 1.0,
) -> Image:
    """Sharpen with an unsharp mask: add what a Gaussian blur takes away.

    Equals `skimage.filters.unsharp_mask`, every colour for itself. Alpha stays; a 1-bit image becomes 8-bit grey; a
    float image is not clipped.

    Parameters
    ----------
    amount : above 0
        How much; 0.5 is subtle, 2 strong.
    radius : pixels
        The sigma of the blur: the size of the details that are sharpened.
    """
    from batchimg_worker.operations.reference import noise

    return noise.sharpen(image, radius, amount, sharpen_halo(radius))


def _check_denoise(*, method: str, patch_size: int | None = None, **others: float | None) -> None:
    refuse_unreadable(method, {"patch_size": patch_size, **others}, OWNERS)
    if patch_size is not None and patch_size % 2 == 0:
        raise ValueError(f"patch_size must be odd, and {patch_size} is even")
    if method == "wavelet" and not _has_wavelets():
        raise ValueError("method wavelet needs the package PyWavelets, which is not installed here")


def _has_wavelets() -> bool:
    from importlib.util import find_spec

    return find_spec("pywt") is not None


def _spatial_halo(sigma_spatial: float) -> int:
    """Half of scikit-image's window."""
    return max(5, 2 * ceil(3 * sigma_spatial) + 1) // 2


def denoise_halo(
    method: str, radius: int | None, sigma_spatial: float | None, patch_size: int | None, patch_distance: int | None
) -> int:
    """How far a method that works in strips looks up and down."""
    if method == "median":
        return radius or RADIUS
    if method == "bilateral":
        return _spatial_halo(sigma_spatial or SIGMA_SPATIAL)
    return (patch_distance or PATCH_DISTANCE) + (patch_size or PATCH_SIZE) // 2 + 1


def _denoise_bytes(  # noqa: PLR0913 - the parameters of the operation
    shape: Shape,
    value_bytes: int,  # noqa: ARG001 - all work is done in float32
    *,
    method: str,
    radius: int | None = None,
    sigma_spatial: float | None = None,
    patch_size: int | None = None,
    patch_distance: int | None = None,
    **_: Scalar,
) -> int:
    if method == "tv":
        return shape[0] * shape[1] * TV_PIXEL_BYTES
    if method == "wavelet":
        return shape[0] * shape[1] * shape[2] * WAVELET_VALUE_BYTES
    halo = denoise_halo(method, radius, sigma_spatial, patch_size, patch_distance)
    return strip_bytes(shape, halo, STRIP_VALUE_BYTES)


@operation(primary="method", check=_check_denoise, temporary=_denoise_bytes)
def denoise(  # noqa: PLR0913 - the parameters of five methods
    image: Image,
    *,
    method: Literal["tv", "bilateral", "nl_means", "median", "wavelet"] = "bilateral",
    weight: Annotated[float, Gt(0), Le(10)] | None = None,
    sigma_color: Annotated[float, Gt(0), Le(10)] | None = None,
    sigma_spatial: Annotated[float, Gt(0), Le(50)] | None = None,
    h: Annotated[float, Gt(0), Le(10)] | None = None,
    patch_size: Annotated[int, Ge(1), Le(51)] | None = None,
    patch_distance: Annotated[int, Ge(1), Le(51)] | None = None,
    radius: Annotated[int, Ge(1), Le(50)] | None = None,
    sigma: Annotated[float, Gt(0), Le(1)] | None = None,
) -> Image:
    """Remove noise: bilateral and tv keep edges, nl_means textures too (slow), median removes specks.

    Equals `skimage.restoration.denoise_tv_chambolle`, `denoise_bilateral` (mode edge), `denoise_nl_means`,
    `skimage.filters.median` (a square) or `denoise_wavelet` (needs PyWavelets), where black is 0 and white 1. Alpha
    stays; a 1-bit image becomes 8-bit grey, except under median. tv and wavelet look at the whole image at once.

    Parameters
    ----------
    method : tv, bilateral, nl_means, median or wavelet
        Which.
    weight : above 0
        Strength of tv; without it 0.05.
    sigma_color : part of white
        Levels further apart than this do not mix, for bilateral; without it 0.05.
    sigma_spatial : pixels
        How far bilateral looks; without it 2.
    h : part of white
        Strength of nl_means; without it 0.05.
    patch_size : odd, pixels
        The side of what nl_means compares; without it 5.
    patch_distance : pixels
        How far nl_means searches; without it 6.
    radius : pixels
        Median of a square of 2 radius + 1; without it 1.
    sigma : part of white
        The noise that wavelet removes; without it estimated.
    """
    from batchimg_worker.operations.reference import noise

    halo = denoise_halo(method, radius, sigma_spatial, patch_size, patch_distance)
    if method == "tv":
        return noise.tv(image, weight or WEIGHT)
    if method == "bilateral":
        return noise.bilateral(image, sigma_color or SIGMA_COLOR, sigma_spatial or SIGMA_SPATIAL, halo)
    if method == "nl_means":
        return noise.nl_means(image, h or H, patch_size or PATCH_SIZE, patch_distance or PATCH_DISTANCE, halo)
    return noise.median(image, radius or RADIUS) if method == "median" else noise.wavelet(image, sigma)
