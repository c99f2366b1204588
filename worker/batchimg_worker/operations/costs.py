"""How much memory an operation takes beside its input and output, without numpy: recipes are checked on the laptop."""

from __future__ import annotations

from collections.abc import Callable

from batchimg_worker.operations.registry import Scalar, Shape

STRIP_VALUES = 1 << 20
"""How many values a strip of rows holds at most, halo left out, where a strip may be chosen."""

Cost = Callable[..., int]


def strip_rows(shape: Shape, halo: int = 0) -> int:
    """How many rows are worked on at once; at least as many as the halo has, or most of the work would be halo."""
    height, width, channels = shape
    return max(1, min(height, max(STRIP_VALUES // (width * channels), halo)))


def strip_bytes(shape: Shape, halo: int, bytes_a_value: int) -> int:
    """What working in strips with a halo holds, where each value of a strip needs so many bytes."""
    height, width, channels = shape
    return min(height, strip_rows(shape, halo) + 2 * halo) * width * channels * bytes_a_value


def whole(bytes_a_pixel: int) -> Cost:
    """The cost of an operation that looks at the whole image at once."""

    def cost(shape: Shape, value_bytes: int, **_: Scalar) -> int:  # noqa: ARG001 - one signature for all
        return shape[0] * shape[1] * bytes_a_pixel

    return cost
