"""What a camera wrote into a file that names no person and no place."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import ExifTags
from PIL import Image as PillowImage

from batchimg_worker.operations import Scalar
from batchimg_worker.quiet import quiet

LONGEST = 100
TEXTS = {"lens": ExifTags.Base.LensModel, "taken": ExifTags.Base.DateTimeOriginal, "software": ExifTags.Base.Software}
NUMBERS = {
    "exposure_seconds": ExifTags.Base.ExposureTime,
    "f_number": ExifTags.Base.FNumber,
    "iso": ExifTags.Base.ISOSpeedRatings,
    "focal_length_mm": ExifTags.Base.FocalLength,
}


def harmless(data: bytes) -> Mapping[str, Scalar]:
    """The fields of the measure exif; empty where there is no EXIF, or none that can be read."""
    try:
        with quiet(), PillowImage.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            tags = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
    except Exception:  # noqa: BLE001 - whatever is wrong with EXIF, it is no reason to lose the image
        return {}
    return {name: value for name, value in _fields(tags).items() if value is not None and value != ""}


def _fields(tags: Mapping[int, object]) -> dict[str, Scalar]:
    maker, model = _text(tags.get(ExifTags.Base.Make)), _text(tags.get(ExifTags.Base.Model))
    flash = tags.get(ExifTags.Base.Flash)
    return {
        "camera": model if model.startswith(maker) else f"{maker} {model}".strip(),
        **{name: _text(tags.get(tag)) for name, tag in TEXTS.items()},
        **{name: _number(tags.get(tag)) for name, tag in NUMBERS.items()},
        "flash": None if not isinstance(flash, int) else "yes" if flash & 1 else "no",
    }


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:LONGEST]


def _number(value: object) -> float | None:
    if isinstance(value, tuple):
        value = value[0] if value else None
    try:
        number = float(value)  # type: ignore[arg-type] # a rational of Pillow's, or anything
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return round(number, 6) if 0 <= number < 1e9 else None
