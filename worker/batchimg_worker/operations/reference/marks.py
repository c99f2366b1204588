"""Text on images, in the font that Pillow carries: the same pixels on every machine with the same Pillow; and logos."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from batchimg_worker.errors import ImageError
from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.reference import frames
from batchimg_worker.operations.reference.layers import WITH_ALPHA, levels
from batchimg_worker.operations.registry import OPERATIONS

FLOAT_BITS = 32
LARGEST_LOGO = 4.0
"""Megapixels."""

SMALLEST = 6
"""Pixels: a smaller text cannot be read."""

PLACES = {"top": 0.0, "center": 0.5, "bottom": 1.0, "left": 0.0, "right": 1.0}


def watermark(image: Image, text: str, position: str, how: tuple[float, float, float]) -> Image:
    """Lay the text over a copy of the image; ``how`` is size (part of the shorter side), opacity and grey level."""
    size, opacity, level = how
    image = levels(image)
    mask = _fitting(text, size, image.shape[:2])
    result = image.copy()
    top, left = _corner(position, image.shape[:2], mask.shape)
    place = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
    _lay_over(result[place], mask * np.float32(opacity / 255), level)
    return result


def logo(content: bytes) -> Image:
    """A file as an image of float32 from 0 to 1, with alpha. Raises ValueError that says why it cannot be used."""
    return _logo(content)


def stamp(image: Image, content: bytes, position: str, how: tuple[float, float]) -> Image:
    """Lay a logo over a copy of the image; ``how`` is size (longer side to the image's shorter one) and opacity."""
    size, opacity = how
    image = levels(image)
    mark = _scaled(logo(content), size, image)
    result = image.copy()
    top, left = _corner(position, image.shape[:2], mark.shape[:2])
    place = (slice(top, top + mark.shape[0]), slice(left, left + mark.shape[1]))
    _lay_over(result[place], mark[..., -1] * np.float32(opacity), mark[..., :-1])
    return result


@lru_cache(maxsize=4)
def _logo(content: bytes) -> Image:
    from batchimg_worker.codec import DecodeLimits, decode

    try:
        array = decode(content, limits=DecodeLimits(max_megapixels=LARGEST_LOGO), profile="srgb").array
        return frames.to_mode(frames.to_bits(array, FLOAT_BITS), "rgba")
    except ImageError as error:
        raise ValueError(error.message) from None


def _scaled(mark: Image, size: float, image: Image) -> Image:
    """The logo in its size, in the colours of the image; colours are weighted by alpha, so that none bleeds."""
    longest = max(1, round(size * min(image.shape[:2])))
    weighted = np.concatenate([mark[..., :-1] * mark[..., -1:], mark[..., -1:]], axis=2)
    resize = OPERATIONS.get("resize")
    weighted = resize.run(weighted, resize.bind({"longest": longest}))
    alpha = weighted[..., -1:]
    colours = np.divide(weighted[..., :-1], alpha, out=np.zeros_like(weighted[..., :-1]), where=alpha > 0)
    mark = np.concatenate([np.clip(colours, 0, 1), np.clip(alpha, 0, 1)], axis=2)
    is_grey = image.ndim == 2 or image.shape[2] <= WITH_ALPHA[0]
    return frames.to_mode(mark, "greya") if is_grey else mark


def _fitting(text: str, size: float, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The text in the wanted size, or in the largest that fits."""
    height, width = shape
    pixels = max(SMALLEST, round(size * min(height, width)))
    mask = _drawn(text, pixels)
    margin = 1.1
    fit = min(height / (mask.shape[0] * margin), width / (mask.shape[1] * margin), 1.0)
    if fit < 1:
        pixels = int(pixels * fit)
        mask = _drawn(text, max(SMALLEST, pixels))
    if pixels < SMALLEST or mask.shape[0] > height or mask.shape[1] > width:
        raise ValueError(f"an image of {width}x{height} is too small for the text {text!r}")
    return mask


@lru_cache(maxsize=8)
def _drawn(text: str, pixels: int) -> npt.NDArray[np.uint8]:
    font = ImageFont.load_default(pixels)
    left, top, right, bottom = ImageDraw.Draw(PillowImage.new("L", (1, 1))).textbbox((0, 0), text, font=font)
    canvas = PillowImage.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return np.asarray(canvas)


def _corner(position: str, shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int]:
    vertical, _, horizontal = position.partition("-")
    margin = min(shape[0], shape[1]) // 50
    free = [max(0, shape[k] - size[k] - 2 * margin) for k in (0, 1)]
    inset = [margin if shape[k] - size[k] >= 2 * margin else 0 for k in (0, 1)]
    return (
        inset[0] + round(free[0] * PLACES[vertical]),
        inset[1] + round(free[1] * PLACES[horizontal or "center"]),
    )


def _lay_over(target: Image, cover: npt.NDArray[np.float32], level: float | Image) -> None:
    """Colour over colour, in place; where there is alpha both are weighted by theirs. ``level`` is from 0 to 1."""
    level = np.asarray(level, np.float32)
    white = np.float32(depth.white(target.dtype))
    values = target.reshape(*target.shape[:2], -1).astype(np.float32) / white
    colours, cover = values, cover[..., None]
    if values.shape[2] in WITH_ALPHA:
        colours, below = values[..., :-1], values[..., -1:] * (1 - cover)
        together = cover + below
        colours *= np.divide(below, together, out=np.zeros_like(below), where=together > 0)
        colours += level * np.divide(cover, together, out=np.zeros_like(below), where=together > 0)
        values[..., -1:] = together
    else:
        colours *= 1 - cover
        colours += cover * level
    depth.store(values.reshape(target.shape) * white, target)
