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


def _blur(image: Image, *, percent: float | None = None, sigma: float | None = None) -> Image:
    from batchimg_worker.operations.filters import FULL_BLUR
    from batchimg_worker.operations.kernels import fast_smoothing

    if sigma is None:
        sigma = (percent or 0.0) / 100 * FULL_BLUR * min(image.shape[:2])
    return fast_smoothing.gaussian(image, sigma)


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


def accelerate() -> None:
    """Register every kernel; the operations have to be registered already."""
    OPERATIONS.accelerate("flip", Kernel(_flip, _suits_flip))
    OPERATIONS.accelerate("rotate", Kernel(_rotate, _suits_linear))
    OPERATIONS.accelerate("blur", Kernel(_blur, _suits))
    OPERATIONS.accelerate("resize", Kernel(_resize, _suits_linear))
