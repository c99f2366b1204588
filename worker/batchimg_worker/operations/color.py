"""Operations on colours: grayscale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchimg_worker.operations.registry import Shape, operation

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

RGB = 3


def _grey_shape(shape: Shape) -> Shape:
    height, width, channels = shape
    return (height, width, channels - 2 if channels >= RGB else channels)


@operation(shape=_grey_shape)
def grayscale(image: Image) -> Image:
    """Turn colours into grey by their BT.709 luminance; alpha stays, a grey image stays as it is.

    Equals `skimage.color.rgb2gray`.
    """
    from batchimg_worker.operations.kernels import pixels

    return pixels.grayscale(image)
