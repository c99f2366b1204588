"""Thumbnails for pages: small JPEGs of whatever the codec can read."""

from dataclasses import replace

from batchimg_worker.codec import decode, encode
from batchimg_worker.operations import OPERATIONS

LONGEST = 220  # pixels
QUALITY = 80


def thumbnail(content: bytes) -> bytes:
    """A JPEG of an image file, at most 220 pixels wide and high. Raises ImageError where it cannot be shown."""
    picture = decode(content)
    height, width = picture.array.shape[:2]
    scale = LONGEST / max(height, width)
    if scale < 1:
        resize = OPERATIONS.get("resize")
        size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
        picture = replace(picture, array=resize.run(picture.array, resize.bind(size)))
    return encode(picture, "jpeg", quality=QUALITY).data
