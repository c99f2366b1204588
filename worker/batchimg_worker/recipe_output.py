"""Reads how results are written: the part of a recipe under `output`."""

from __future__ import annotations

from collections.abc import Mapping

from batchimg_worker.errors import RecipeError
from batchimg_worker.naming import OTHER_SUFFIXES
from batchimg_worker.operations import nearest
from batchimg_worker.recipe_model import BITS, FORMATS, SUBSAMPLINGS, Output

FORMAT_ALIASES = {"jpg": "jpeg", "tif": "tiff"}
KEYS = ("format", "quality", "subsampling", "bits", "name", "pyramid")


def output(document: Mapping[str, object]) -> Output:
    """Raises RecipeError that names the key, its value and the nearest right one."""
    for key in document:
        if key not in KEYS:
            raise RecipeError(f"unknown key {key!r}", nearest(key, KEYS))
    values = {
        "format": _format(document.get("format", "same")),
        "quality": _quality(document.get("quality", 90)),
        "subsampling": _subsampling(document.get("subsampling")),
        "bits": _bits(document.get("bits")),
        "name": _name(document.get("name")),
        "pyramid": _pyramid(document.get("pyramid")),
    }
    return Output.model_validate(values)


def _format(wanted: object) -> object:
    wanted = FORMAT_ALIASES.get(str(wanted), wanted)
    if f".{wanted}" in OTHER_SUFFIXES:
        raise RecipeError(f"{wanted} cannot be written", f"Use one of: {', '.join(FORMATS)}.")
    if wanted not in FORMATS:
        raise RecipeError(f"unknown format {wanted!r}", nearest(wanted, FORMATS))
    return wanted


def _quality(quality: object) -> int:
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise RecipeError(f"quality cannot be {quality!r}", "Give a whole number from 1 to 100.")
    return quality


def _subsampling(value: object) -> object:
    """YAML reads 4:2:0 without quotes as a number to the base of 60."""
    readings = {reading: word for word in SUBSAMPLINGS for reading in _readings(word)}
    if value is None or (isinstance(value, str | int) and value in readings):
        return value if value is None else readings[value]
    raise RecipeError(f"subsampling cannot be {value!r}", f"Use one of: {', '.join(SUBSAMPLINGS)}.")


def _readings(word: str) -> tuple[str | int, ...]:
    hours, minutes, seconds = (int(digit) for digit in word.split(":"))
    plain = word.replace(":", "")
    return word, plain, int(plain), hours * 3600 + minutes * 60 + seconds


def _bits(value: object) -> object:
    if value is None or value == "keep":
        return None
    if isinstance(value, bool) or value not in BITS:
        raise RecipeError(f"bits cannot be {value!r}", "Use 8, 16 or keep.")
    return value


def _pyramid(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value or None
    raise RecipeError(f"pyramid cannot be {value!r}", "Use true or false.")


def _name(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise RecipeError(f"name cannot be {value!r}", "Write a text such as '{stem}-{variant}{ext}'.")
    return value
