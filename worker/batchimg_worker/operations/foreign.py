"""What operations and measures of others are given, and what is taken from them.

One that breaks the rules of `arrays` would otherwise show its mistake far away: in a writer, in another variant, or
in the record of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.registry import Operation, Scalar

TYPES = ("uint8", "uint16", "float32", "bool")
MOST_CHANNELS = 4
FORM = "an operation returns an array of (height, width) or (height, width, 1 to 4 channels)"
NUMBERS = "a measure returns a dict of names to numbers, texts or None"

Numbers = Mapping[str, float | str | None]


def run(operation: Operation, image: Image, parameters: Mapping[str, Scalar]) -> Image:
    """Apply an operation. One of others gets an image that it cannot write to, as other steps need it too.

    Raises TypeError and ValueError that say what it returned instead of an image, and whatever the operation raises.
    """
    if not operation.is_foreign:
        own: Image = operation.run(image, parameters)
        return own
    try:
        result = operation.run(_locked(image), parameters)
    except ValueError as error:
        if "read-only" in str(error):
            raise ValueError(f"it must not change its input, begin with image.copy() ({error})") from error
        raise
    return checked(result, image)


def measured(operation: Operation, source: Any, parameters: Mapping[str, Scalar]) -> Numbers:
    """Take a measure, of pixels or of metadata; as `run`."""
    if not operation.is_foreign:
        own: Numbers = operation.run(source, parameters)
        return own
    return checked_numbers(operation.run(_locked(source) if operation.reads == "pixels" else source, parameters))


def _locked(image: Image) -> Image:
    view = image.view()
    view.flags.writeable = False
    return view


def checked(result: object, image: Image) -> Image:
    """What an operation made of ``image``, as `arrays` says. Raises TypeError and ValueError that say what it
    returned instead.

    Floating-point numbers become float32, which is what numpy makes float64 of at every turn.
    """
    if not isinstance(result, np.ndarray | np.generic):
        raise TypeError(f"it returned {type(result).__name__}; {FORM}")
    array: Image = np.asarray(result)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or 0 in array.shape or array.shape[2:] > (MOST_CHANNELS,):
        raise ValueError(f"it returned an array of {' x '.join(map(str, array.shape)) or 'one value'}; {FORM}")
    wanted = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    if wanted.name not in TYPES:
        raise ValueError(f"it returned {array.dtype} values; return {image.dtype}, or another of {', '.join(TYPES)}")
    if np.may_share_memory(array, image):
        return image if _is_same(array, image) else np.array(array, wanted, order="C")
    return np.ascontiguousarray(array, wanted)


def _is_same(array: Image, image: Image) -> bool:
    return (array.shape, array.strides, array.dtype) == (image.shape, image.strides, image.dtype) and (
        array.ctypes.data == image.ctypes.data
    )


def checked_numbers(found: object) -> Numbers:
    """What a measure found. Raises TypeError and ValueError that say what it returned instead."""
    if not isinstance(found, Mapping):
        raise TypeError(f"it returned {type(found).__name__}; {NUMBERS}")
    return {_name(name): _number(name, value) for name, value in found.items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"it returned {name!r} as a name; {NUMBERS}")
    return name


def _number(name: str, value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, int | float | np.integer | np.floating | np.bool_):
        raise TypeError(f"it returned {type(value).__name__} for {name!r}; {NUMBERS}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"it returned a number for {name!r} that is too large") from None
