"""Gives operations their faster kernels, where they suit: the C ones, for the types and parameters they cover.

Importing this imports no numpy; each function imports its kernel when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchimg_worker.operations.registry import OPERATIONS, Kernel, Scalar

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

TYPES = ("uint8", "uint16", "float32")
MOST_CHANNELS = 4
LONGEST_ROW = 1 << 20
"""Values in a row; the buffers of some rows of this length still fit into TEMPORARY_BYTES."""


def _suits(image: Image, _: Mapping[str, Scalar]) -> bool:
    from batchimg_worker.operations.kernels import native

    shape = image.shape
    return (
        native.available()
        and image.dtype.name in TYPES
        and image.flags.c_contiguous
        and len(shape) in (2, 3)
        and (len(shape) == 2 or 1 <= shape[2] <= MOST_CHANNELS)
        and 0 < shape[1] * (shape[2] if len(shape) > 2 else 1) <= LONGEST_ROW
        and shape[0] > 0
    )


def _suits_linear(image: Image, parameters: Mapping[str, Scalar]) -> bool:
    return parameters["order"] == 1 and _suits(image, parameters)


def _suits_flip(image: Image, parameters: Mapping[str, Scalar]) -> bool:
    return parameters["direction"] == "horizontal" and _suits(image, parameters)


def _blur(image: Image, **size: float | None) -> Image:
    from batchimg_worker.operations.filters import sigma_of
    from batchimg_worker.operations.kernels import fast_smoothing

    return fast_smoothing.gaussian(image, sigma_of(image.shape, **size))


def _rotate(image: Image, *, angle: float, resize: bool, mode: str, cval: float, **_: Any) -> Image:
    from batchimg_worker.operations.kernels import fast_warping, warping

    placement = warping.rotation(image.shape[0], image.shape[1], angle, resize=resize)
    return fast_warping.warp(image, placement, mode=mode, cval=cval)


def _resize(image: Image, *, anti_aliasing: bool | None = None, **parameters: Scalar) -> Image:
    from batchimg_worker.operations.kernels import fast_scaling

    shape = (image.shape[0], image.shape[1], image.shape[2] if image.ndim > 2 else 1)
    rows, columns, _ = OPERATIONS.get("resize").output_shape(shape, parameters)
    return fast_scaling.resize(image, rows, columns, anti_aliasing=anti_aliasing)


def _flip(image: Image, *, direction: str) -> Image:  # noqa: ARG001 - only horizontal is accelerated
    from batchimg_worker.operations.kernels import native

    return native.mirror(image)


def _suits_bytes(image: Image, parameters: Mapping[str, Scalar]) -> bool:
    return image.dtype.name == "uint8" and _suits(image, parameters)


def _suits_sharpen(image: Image, parameters: Mapping[str, Any]) -> bool:
    """A blur of 8 bits is half a level off: what is multiplied by more than 1 would show it."""
    return parameters["amount"] <= 1 and _suits_bytes(image, parameters)


def _suits_edges(image: Image, parameters: Mapping[str, Scalar]) -> bool:
    return parameters["method"] == "sobel" and _suits_bytes(image, parameters)


def _suits_denoise(image: Image, parameters: Mapping[str, Scalar]) -> bool:
    return parameters["method"] == "median" and _suits_bytes(image, parameters)


def _sharpen(image: Image, *, amount: float, radius: float) -> Image:
    from batchimg_worker.operations.kernels import fast_colours
    from batchimg_worker.operations.noise import sharpen_halo

    return fast_colours.sharpen(image, radius, amount, sharpen_halo(radius))


def _edges(image: Image, **_: Scalar) -> Image:
    from batchimg_worker.operations.kernels import fast_colours

    return fast_colours.sobel(image)


def _denoise(image: Image, *, radius: int | None = None, **_: Any) -> Image:
    from batchimg_worker.operations.kernels import fast_colours
    from batchimg_worker.operations.noise import RADIUS

    return fast_colours.median(image, radius or RADIUS)


def _morphology(image: Image, *, method: str, footprint: str, radius: int) -> Image:
    from batchimg_worker.operations.kernels import fast_colours

    return fast_colours.morph(image, method, footprint, radius)


def _equalize(image: Image, *, method: str, clip_limit: float | None = None, kernel_size: int | None = None) -> Image:
    from batchimg_worker.operations.kernels import fast_colours
    from batchimg_worker.operations.tones import CLIP_LIMIT

    return fast_colours.equalize(image, method, CLIP_LIMIT if clip_limit is None else clip_limit, kernel_size)


def _normalize(image: Image, *, low: float, high: float) -> Image:
    from batchimg_worker.operations.kernels import fast_colours

    return fast_colours.normalize(image, low, high)


def _by_levels(name: str) -> Kernel:
    """A kernel of an operation that looks at one level at a time."""

    def run(image: Image, **parameters: Any) -> Image:
        from batchimg_worker.operations.kernels import fast_colours

        reference = OPERATIONS.get(name).reference
        return fast_colours.by_table(image, fast_colours.table_of(lambda levels: reference(levels, **parameters)))

    return Kernel(run, _suits_bytes)


def accelerate() -> None:
    """Register every kernel; the operations have to be registered already."""
    OPERATIONS.accelerate("flip", Kernel(_flip, _suits_flip))
    OPERATIONS.accelerate("rotate", Kernel(_rotate, _suits_linear))
    OPERATIONS.accelerate("blur", Kernel(_blur, _suits))
    OPERATIONS.accelerate("resize", Kernel(_resize, _suits_linear))
    OPERATIONS.accelerate("sharpen", Kernel(_sharpen, _suits_sharpen))
    OPERATIONS.accelerate("edges", Kernel(_edges, _suits_edges))
    OPERATIONS.accelerate("denoise", Kernel(_denoise, _suits_denoise))
    OPERATIONS.accelerate("morphology", Kernel(_morphology, _suits_bytes))
    OPERATIONS.accelerate("equalize", Kernel(_equalize, _suits_bytes))
    OPERATIONS.accelerate("normalize", Kernel(_normalize, _suits_bytes))
    for name in ("brightness", "contrast", "gamma"):
        OPERATIONS.accelerate(name, _by_levels(name))
