"""Operations whose result is made some rows at a time, from top to bottom, out of an image that is held whole.

The pixels are those of `Operation.run` with the C kernels, to the last bit: a result that is only written need never
be whole in memory. Importing this imports no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchimg_worker.operations.acceleration import LONGEST_ROW
from batchimg_worker.operations.registry import Scalar, Shape

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image
    from batchimg_worker.operations.kernels import warping

Parameters = Mapping[str, Scalar]
FLIPPED_BYTES = 1 << 20


def can(name: str, shape: Shape, parameters: Parameters) -> bool:
    """Whether the operation ``name`` can be done so, on any image of this shape of uint8, uint16 or float32."""
    found = _STRIPS.get(name)
    if found is None or shape[1] * shape[2] > LONGEST_ROW:
        return False
    from batchimg_worker.operations.kernels import native

    return native.available() and found.suits(shape, parameters)


def strips(name: str, image: Image, parameters: Parameters) -> Iterator[Image]:
    """The result, (rows, width[, channels]) at a time, where `can` says so."""
    return _STRIPS[name].strips(image, parameters)


def _flip(image: Image, parameters: Parameters) -> Iterator[Image]:
    from batchimg_worker.operations.kernels import native

    rows = max(1, FLIPPED_BYTES // image[0].nbytes)
    across = parameters["direction"] == "horizontal"
    source = image if across else image[::-1]
    for top in range(0, len(image), rows):
        yield native.mirror(source[top : top + rows]) if across else source[top : top + rows]


def _placement(shape: tuple[int, ...], parameters: Parameters) -> warping.Placement:
    from batchimg_worker.operations.kernels import warping

    return warping.rotation(shape[0], shape[1], float(parameters["angle"] or 0.0), resize=bool(parameters["resize"]))


def _suits_rotate(shape: Shape, parameters: Parameters) -> bool:
    from batchimg_worker.operations.kernels import fast_warping

    if parameters["order"] != 1:
        return False
    return fast_warping.is_plain(_placement(shape, parameters), shape[0], shape[1], str(parameters["mode"]))


def _rotate(image: Image, parameters: Parameters) -> Iterator[Image]:
    from batchimg_worker.operations.kernels import fast_warping

    mode, cval = str(parameters["mode"]), float(parameters["cval"] or 0.0)
    return fast_warping.strips(image, _placement(image.shape, parameters), mode=mode, cval=cval)


def _blur(image: Image, parameters: Parameters) -> Iterator[Image]:
    from batchimg_worker.operations.filters import sigma_of
    from batchimg_worker.operations.kernels import fast_smoothing

    given: Any = parameters
    return fast_smoothing.strips(image, sigma_of(image.shape, **given))


@dataclass(frozen=True)
class _Strips:
    strips: Callable[[Image, Parameters], Iterator[Image]]
    suits: Callable[[Shape, Parameters], bool] = lambda _, __: True


_STRIPS = {"flip": _Strips(_flip), "rotate": _Strips(_rotate, _suits_rotate), "blur": _Strips(_blur)}
