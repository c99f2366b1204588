"""8-bit operations with the C kernels, on the colours of an image: alpha stays as it is."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, fast_around, fast_tones
from batchimg_worker.operations.reference import shapes, tones
from batchimg_worker.operations.reference.layers import WITH_ALPHA, colours, empty_like, strips, with_alpha_of


def sharpen(image: Image, radius: float, amount: float, halo: int) -> Image:
    """As `noise.sharpen`, in strips."""
    return _in_strips(image, halo, lambda strip: fast_around.unsharp(strip, radius, amount, halo))


def median(image: Image, radius: int) -> Image:
    """As `noise.median`."""
    return _on_colours(image, radius, lambda strip: fast_around.median(strip, radius))


def morph(image: Image, method: str, kind: str, radius: int) -> Image:
    """As `shapes.morph`."""
    footprint = shapes.footprint_of(kind, radius)
    order = {"erode": (False,), "dilate": (True,), "open": (False, True), "close": (True, False)}[method]

    def run(strip: Image) -> Image:
        for largest in order:
            strip = fast_around.extreme(strip, footprint, largest=largest)
        return strip

    return (_on_colours if len(order) == 1 else _in_strips)(image, len(order) * radius, run)


def sobel(image: Image) -> Image:
    """As `shapes.sobel`."""
    return with_alpha_of(image, fast_around.sobel(image))


def by_table(image: Image, table: npt.NDArray[np.uint8]) -> Image:
    """Every colour by a table of 256."""
    return _on_colours(image, 0, lambda strip: fast_tones.look_up(strip, table))


def table_of(function: Callable[[Image], Image]) -> npt.NDArray[np.uint8]:
    """What an operation that looks at one level only makes of each."""
    return np.ascontiguousarray(function(np.arange(256, dtype=np.uint8).reshape(1, -1)).reshape(-1))


def normalize(image: Image, low: float, high: float) -> Image:
    """As `tones.normalize`."""
    bottom, top = tones.ranked(_counts(image), low, high)
    return by_table(image, table_of(lambda levels: tones.stretched(levels, bottom, top)))


def equalize(image: Image, method: str, clip_limit: float, kernel_size: int | None) -> Image:
    """As `tones.equalize`."""
    value = _value(image)
    if method == "histogram":
        return by_shares(image, tones.shares(fast_tones.counts(value)))
    if value.min() == value.max():
        return tones.equalize(image, method, clip_limit, kernel_size)
    return fast_tones.with_value(image, value, fast_tones.clahe(value, clip_limit, kernel_size))


def by_shares(image: Image, shares: npt.NDArray[np.float32]) -> Image:
    """As `tones.by_table`."""
    image = np.ascontiguousarray(image)
    value = _value(image)
    return fast_tones.with_value(image, value, (shares * np.float32(depth.white(value.dtype)))[value])


def _value(image: Image) -> Image:
    """The largest colour of every pixel."""
    if image.ndim > 2 and image.shape[2] > 2:
        return fast_tones.strongest(image)
    return np.ascontiguousarray(colours(image)[..., 0])


def _counts(image: Image) -> npt.NDArray[np.int64]:
    found = np.zeros(fast_tones.LEVELS, np.int64)
    for rows, _, _ in strips(image):
        strip = np.ascontiguousarray(colours(image)[rows])
        found += fast_tones.counts(strip.reshape(len(strip), -1))
    return found


def _on_colours(image: Image, halo: int, function: Callable[[Image], Image]) -> Image:
    """At once where there is no alpha."""
    if image.ndim == 2 or image.shape[2] not in WITH_ALPHA:
        return function(image)
    return _in_strips(image, halo, function)


def _in_strips(image: Image, halo: int, function: Callable[[Image], Image]) -> Image:
    """Apply a function of contiguous colours that looks ``halo`` rows up and down."""
    result = empty_like(image)
    for rows, around, inside in strips(image, halo):
        colours(result)[rows] = function(np.ascontiguousarray(colours(image)[around]))[inside]
    return result
