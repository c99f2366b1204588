"""What an image is, inside the worker.

An image is a C-contiguous array of shape (height, width) or (height, width, channels), where 2 channels are grey and
alpha, 3 are red, green, blue, and 4 are those and alpha. Its type is uint8, uint16 (0 is black, the largest value
white), float32 (any values) or bool. Operations never change their input, and treat alpha as scikit-image does with
``channel_axis=-1``: as one more channel. Only where a JPEG or BMP is written is an image laid on white.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[Any]
Plane: TypeAlias = npt.NDArray[np.float32]


def packed(image: Image) -> Image:
    """The same pixels with the strides of a fresh array; copied only where they do not lie in order.

    numpy calls a mirrored row or column of one pixel contiguous, with any stride along it; imagecodecs does not.
    """
    return np.ascontiguousarray(image).reshape(-1).reshape(image.shape)


@dataclass(frozen=True)
class Strips:
    """An image of ``shape`` and ``dtype`` as rows from top to bottom, of any number at a time; read once."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: Iterator[Image]

    def of(self, rows: int) -> Iterator[Image]:
        """So many rows at a time, at the end what is left."""
        held: Image | None = None
        for given in self.parts:
            part = given
            if held is not None:
                missing = rows - len(held)
                held, part = np.concatenate([held, part[:missing]]), part[missing:]
                if len(held) < rows:
                    continue
                yield held
            whole = len(part) // rows * rows
            for top in range(0, whole, rows):
                yield part[top : top + rows]
            held = part[whole:] if whole < len(part) else None
        if held is not None:
            yield held


def strips_of(image: Image) -> Strips:
    """An image that is there as a whole."""
    return Strips(image.shape, image.dtype, iter((image,)))
