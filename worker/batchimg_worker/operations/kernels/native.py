"""The C kernels of ``batchimg_worker/native``, loaded where they were built for this machine.

Calls release the GIL. Nothing here decides what is computed: see `resampling` and the ``fast_*`` modules.
"""

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image, Plane

FOLDER = Path(__file__).resolve().parents[2] / "native"
SWITCH = "BATCHIMG_NATIVE"
"""Environment variable: ``0`` turns the C kernels off, to compare or to look for a fault."""

MODES = {"constant": 0, "edge": 1, "symmetric": 2, "reflect": 3, "wrap": 4}
FILLED, BLENDED = 1, 2
"""What `warp` found: pixels that are all fill, pixels that are so in part."""

_POINTER, _SIZE, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_double
_ROWS = [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _INT, _SIZE, _POINTER, _SIZE]
_WARP = [_POINTER, _SIZE, _SIZE, _INT, _POINTER, _SIZE, _SIZE, _POINTER, _INT, _DOUBLE]
_NAMES = {np.dtype(np.uint8): "u8", np.dtype(np.uint16): "u16", np.dtype(np.float32): "f32"}


def available() -> bool:
    """Whether there is a library that this processor can run."""
    return _library() is not None


@cache
def _library() -> ctypes.CDLL | None:
    if os.environ.get(SWITCH) == "0" or sys.platform != "linux":
        return None
    file = FOLDER / f"kernels-{platform.machine()}.so"
    try:
        library = ctypes.CDLL(str(file))
        return _declared(library) if library.runs_here() else None
    except (OSError, AttributeError):  # not built, for another system, or of another version
        return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    for name in ("u8_f32", "u16_f32", "f32_f32", "f32_u8", "f32_u16"):
        getattr(library, f"rows_{name}").argtypes = _ROWS
    for name in _NAMES.values():
        getattr(library, f"warp_{name}").argtypes = _WARP
    library.transpose_f32.argtypes = [_POINTER, _SIZE, _SIZE, _SIZE, _POINTER, _SIZE]
    library.mirror.argtypes = [_POINTER, _POINTER, _SIZE, _SIZE, _INT]
    library.png_filter.argtypes = [_POINTER, _SIZE, _SIZE, _INT, _POINTER, _POINTER]
    return library


def _function(name: str) -> Any:
    library = _library()
    if library is None:
        raise RuntimeError("there are no C kernels for this machine; ask `available()` first")
    return getattr(library, name)


def weighted_rows(
    source: Image, index: npt.NDArray[np.int32], weights: Plane, target: Image, *, step: int | None = None
) -> None:
    """``target[j] = sum(weights[j, t] * source[index[j, t]] for t)``, for arrays of two dimensions.

    With ``step`` the rows overlap: row k is what begins k * step values into the first row. Values are rounded half
    to even and clipped where the target is of integers. One of source and target is float32.
    """
    count = target.shape[1]
    stride = source.strides[0] // source.itemsize if step is None else step
    end = int(index.max(initial=0)) * stride + count
    held = (source.shape[0] - 1) * (source.strides[0] // source.itemsize) + source.shape[1]
    fits = index.min(initial=0) >= 0 and end <= held and index.shape == weights.shape and len(index) == len(target)
    whole = source.strides[1] == source.itemsize and target.strides[1] == target.itemsize
    if not (fits and whole and index.flags.c_contiguous and weights.flags.c_contiguous):
        raise ValueError(f"rows {index.shape} of {source.shape} do not fit into {target.shape}")
    _function(f"rows_{_NAMES[source.dtype]}_{_NAMES[target.dtype]}")(
        source.ctypes.data, stride, count, index.ctypes.data, weights.ctypes.data, index.shape[1], len(target),
        target.ctypes.data, target.strides[0] // target.itemsize,
    )  # fmt: skip


def transpose(source: Plane, target: Plane) -> None:
    """``target[...] = source.T``, for float32 arrays whose rows are contiguous."""
    if target.shape != source.shape[::-1] or source.dtype != np.float32 or target.dtype != np.float32:
        raise ValueError(f"{source.shape} cannot be transposed into {target.shape}")
    _function("transpose_f32")(
        source.ctypes.data, source.strides[0] // 4, *source.shape, target.ctypes.data, target.strides[0] // 4
    )


def warp(image: Image, matrix: npt.NDArray[np.float64], target: Image, *, mode: str, fill: float) -> int:
    """Fill ``target`` by linear interpolation at ``matrix`` (3, 3) times (column, row, 1); see FILLED and BLENDED."""
    if not (image.flags.c_contiguous and target.flags.c_contiguous and image.dtype == target.dtype):
        raise ValueError("both arrays have to be contiguous and of one type")
    channels = image.shape[2] if image.ndim > 2 else 1
    places = np.ascontiguousarray(matrix[:2], np.float64)
    found: int = _function(f"warp_{_NAMES[image.dtype]}")(
        image.ctypes.data, *image.shape[:2], channels, target.ctypes.data, *target.shape[:2], places.ctypes.data,
        MODES[mode], fill,
    )  # fmt: skip
    return found


def mirror(image: Image) -> Image:
    """A contiguous ``image[:, ::-1]``."""
    if not image.flags.c_contiguous:
        raise ValueError("the array has to be contiguous")
    target = np.empty_like(image)
    pixel = image.itemsize * (image.shape[2] if image.ndim > 2 else 1)
    _function("mirror")(image.ctypes.data, target.ctypes.data, *image.shape[:2], pixel)
    return target


def png_filter(image: Image) -> Image:
    """Rows of a PNG before compression, (height, 1 + bytes of a row); 16-bit images have to be big-endian."""
    if not image.flags.c_contiguous:
        raise ValueError("the array has to be contiguous")
    height = image.shape[0]
    length = image.nbytes // height
    target, spare = np.empty((height, 1 + length), np.uint8), np.empty(2 * length, np.uint8)
    pixel = length // image.shape[1]
    _function("png_filter")(image.ctypes.data, height, length, pixel, target.ctypes.data, spare.ctypes.data)
    return target
