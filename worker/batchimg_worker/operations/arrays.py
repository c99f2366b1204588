"""What an image is, inside the worker.

An image is a C-contiguous array of shape (height, width) or (height, width, channels), where 2 channels are grey and
alpha, 3 are red, green, blue, and 4 are those and alpha. Its type is uint8, uint16 (0 is black, the largest value
white), float32 (any values) or bool. Operations never change their input, and treat alpha as scikit-image does with
``channel_axis=-1``: as one more channel. Only where a JPEG or BMP is written is an image laid on white.
"""

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
