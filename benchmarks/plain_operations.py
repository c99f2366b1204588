"""Each measured operation as one would write it with scikit-image alone, on an 8-bit RGB image, 8 bits again."""

from collections.abc import Callable
from typing import Any

import numpy as np
from skimage import color, exposure, filters, morphology, transform, util


def by_colour(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda image: np.dstack([function(image[..., k]) for k in range(3)])


def byte(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda image: util.img_as_ubyte(np.clip(function(image), 0, 1))


def square(radius: int) -> Any:
    return np.ones((2 * radius + 1, 2 * radius + 1), bool)


def blur(percent: float) -> Callable[[Any], Any]:
    return byte(lambda image: filters.gaussian(image, percent * 0.0002 * min(image.shape[:2]), channel_axis=-1))


def quarter(image: Any) -> Any:
    return transform.resize(image, (image.shape[0] // 4, image.shape[1] // 4), anti_aliasing=True)


PLAIN: dict[str, Callable[[Any], Any]] = {
    "flip=horizontal": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "flip=vertical": lambda image: np.ascontiguousarray(image[::-1]),
    "rotate=30": byte(lambda image: transform.rotate(image, 30)),
    "blur=25%": blur(25),
    "blur=50%": blur(50),
    "blur=sigma:2": byte(lambda image: filters.gaussian(image, 2, channel_axis=-1)),
    "resize=25%": byte(quarter),
    # By colour: with channel_axis=-1 scikit-image 0.26 sharpens three rows, and leaves the others unset.
    "sharpen": byte(by_colour(filters.unsharp_mask)),
    "edges=sobel": byte(lambda image: filters.sobel(color.rgb2gray(image))),
    "equalize=clahe": byte(exposure.equalize_adapthist),
    "equalize=histogram": byte(lambda image: color.hsv2rgb(_with_value(color.rgb2hsv(image), exposure.equalize_hist))),
    "denoise=median": by_colour(lambda plane: filters.median(plane, square(1))),
    "denoise=method:median,radius:2": by_colour(lambda plane: filters.median(plane, square(2))),
    "morphology=open": by_colour(lambda plane: morphology.opening(plane, morphology.disk(1))),
    "contrast=1.2": lambda image: exposure.rescale_intensity(image, (21, 234), np.uint8),
    "gamma=0.8": lambda image: exposure.adjust_gamma(image, 0.8),
    "brightness=120%": lambda image: exposure.adjust_gamma(image, 1, 1.2),
    "normalize": lambda image: exposure.rescale_intensity(image, tuple(np.percentile(image, (1, 99))), np.uint8),
}


def _with_value(hsv: Any, function: Callable[[Any], Any]) -> Any:
    hsv[..., 2] = function(hsv[..., 2])
    return hsv
