"""Measures: numbers about an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchimg_worker.operations.registry import measure

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

CHANNEL_NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


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
