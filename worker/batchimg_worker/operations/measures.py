"""Measures: numbers about an image. They are taken of the original, upright."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from batchimg_worker.operations.registry import Scalar, Shape, measure

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

CHANNEL_NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def _grey_bytes(shape: Shape, value_bytes: int, **_: Scalar) -> int:
    """A grey copy; of floats also the finite ones, and what sorts them."""
    return shape[0] * shape[1] * (2 * value_bytes if value_bytes <= 2 else 32)


def _colour_bytes(shape: Shape, value_bytes: int, **_: Scalar) -> int:
    """A copy of floats, and the histogram's own."""
    return shape[0] * shape[1] * shape[2] * (0 if value_bytes <= 2 else 20)


@measure()
def size(image: Image) -> dict[str, int]:
    """Width, height and number of channels, after the orientation was applied."""
    channels = image.shape[2] if image.ndim > 2 else 1
    return {"width": image.shape[1], "height": image.shape[0], "channels": channels}


@measure()
def mean_pixel(image: Image) -> dict[str, float]:
    """The mean of each channel, in the image's own grey levels (0 to 255, 0 to 65535, or float)."""
    from batchimg_worker.operations.kernels import pixels

    means = pixels.channel_means(image)
    return dict(zip(CHANNEL_NAMES[len(means)], means, strict=True))


@measure(primary="bins", temporary=_colour_bytes)
def histogram(image: Image, *, bins: Annotated[int, Ge(2), Le(256)] = 16) -> dict[str, float]:
    """How the levels of each channel are spread: `red_00` is the part of the pixels in its darkest bin.

    Bins are equally wide from black to white; float images are counted from 0 to 1, and what lies outside is counted
    in the first or last bin.

    Parameters
    ----------
    bins : 2 to 256
        How many bins each channel has.
    """
    from batchimg_worker.operations.reference import numbers

    return numbers.histogram(image, bins, CHANNEL_NAMES)


@measure()
def sharpness(image: Image) -> dict[str, float]:
    """The variance of the Laplacian of the luminance, where white is 255: blurred photos have less than about 100.

    Equals `skimage.filters.laplace(rgb2gray(image) * 255).var()`. It depends on the size: compare images of one size.
    """
    from batchimg_worker.operations.reference import numbers

    return {"variance": numbers.laplacian_variance(image)}


@measure()
def brightness(image: Image) -> dict[str, float]:
    """Mean and standard deviation of the luminance, where black is 0 and white 1."""
    from batchimg_worker.operations.reference import numbers

    mean, deviation = numbers.brightness(image)
    return {"mean": mean, "deviation": deviation}


@measure(temporary=_grey_bytes)
def entropy(image: Image) -> dict[str, float]:
    """Shannon's entropy of the luminance in bits: 0 for one level, 8 where all levels of 8 bits are as frequent.

    Equals `skimage.measure.shannon_entropy` of `rgb2gray`, rounded to the image's own levels.
    """
    from batchimg_worker.operations.reference import numbers

    return {"bits": numbers.entropy(image)}


@measure(temporary=_grey_bytes)
def otsu_level(image: Image) -> dict[str, float]:
    """The level of `threshold` with method otsu, in the image's own grey levels."""
    from batchimg_worker.operations.reference import layers, shapes

    return {"level": shapes.otsu_level(layers.grey(image))}


@measure(temporary=_grey_bytes)
def phash(image: Image) -> dict[str, str | None]:
    """A perceptual hash: 64 bits in hex; alike images differ in few bits.

    The luminance in 32 by 32 pixels (`skimage.transform.resize`), its cosine transform, and of the 8 by 8 lowest
    frequencies whether each is above their median.
    """
    from batchimg_worker.operations.reference import numbers

    return {"hash": numbers.perceptual_hash(image)}


@measure(temporary=_colour_bytes)
def dominant_color(image: Image) -> dict[str, float | str | None]:
    """The most frequent colour, its part of the pixels, and as `#rrggbb`; colours are sorted into 16 levels a channel.

    It is the mean of its bin, in the image's own grey levels. Floats are taken from 0 to 1, and clipped.
    """
    from batchimg_worker.operations.reference import numbers

    return numbers.dominant_color(image)


@measure(reads="metadata")
def exif(metadata: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What the camera wrote down that names no person and no place.

    camera, lens, taken (local time), exposure_seconds, f_number, iso, focal_length_mm, flash and software, each only
    where the file has it. Positions, names, serial numbers and comments are never read.
    """
    return dict(metadata)
