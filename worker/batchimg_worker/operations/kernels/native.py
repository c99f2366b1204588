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
_WARP = [*(_POINTER, _SIZE, _SIZE, _INT), *(_POINTER, _SIZE, _SIZE, _SIZE), _POINTER, _INT, _DOUBLE]
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
    library.smooth_u8.argtypes = [
        *(_POINTER, _SIZE, _SIZE, _INT), *(_POINTER, _INT), *(_POINTER, _INT), *(_POINTER, _POINTER),
    ]  # fmt: skip
    library.halve.argtypes = [_POINTER, _SIZE, _SIZE, _INT, _INT, _POINTER]
    library.clipped.argtypes = [_POINTER, _POINTER, _POINTER, _SIZE, _SIZE, _INT, _INT]
    library.clipped.restype = _DOUBLE
    library.lookup_u8.argtypes = [_POINTER, _SIZE, _POINTER, _POINTER]
    library.strongest_u8.argtypes = [_POINTER, _SIZE, _INT, _POINTER]
    library.counts_u8.argtypes = [_POINTER, _SIZE, _SIZE, _SIZE, _POINTER]
    library.revalue_u8.argtypes = [_POINTER, _SIZE, _INT, *(_POINTER, _POINTER), _POINTER]
    library.blend_tables.argtypes = [_POINTER, *(_SIZE, _SIZE), *(_SIZE, _SIZE), _POINTER, _SIZE, _POINTER]
    library.clip_counts.argtypes = [_POINTER, _INT, ctypes.c_int64]
    library.median_u8.argtypes = [_POINTER, *(_SIZE, _SIZE), _INT, _INT, _POINTER]
    library.extreme_u8.argtypes = [_POINTER, *(_SIZE, _SIZE), _INT, _INT, _POINTER, _INT, _POINTER]
    library.unsharp_u8.argtypes = [_POINTER, _POINTER, _SIZE, ctypes.c_float, _POINTER]
    library.sobel_u8.argtypes = [_POINTER, *(_SIZE, _SIZE), _INT, _POINTER]
    library.jpeg_layout.argtypes = [_POINTER, ctypes.c_char_p, ctypes.c_size_t, _POINTER]
    library.jpeg_read.argtypes = [_POINTER, ctypes.c_char_p, ctypes.c_size_t, _POINTER]
    library.jpeg_write.argtypes = [_POINTER, _POINTER, _POINTER, _INT, _POINTER, _POINTER]
    library.jpeg_release.argtypes = [_POINTER]
    return library


def function(name: str) -> Any:
    """A C function by its name."""
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
    function(f"rows_{_NAMES[source.dtype]}_{_NAMES[target.dtype]}")(
        source.ctypes.data, stride, count, index.ctypes.data, weights.ctypes.data, index.shape[1], len(target),
        target.ctypes.data, target.strides[0] // target.itemsize,
    )  # fmt: skip


def transpose(source: Plane, target: Plane) -> None:
    """``target[...] = source.T``, for float32 arrays whose rows are contiguous."""
    if target.shape != source.shape[::-1] or source.dtype != np.float32 or target.dtype != np.float32:
        raise ValueError(f"{source.shape} cannot be transposed into {target.shape}")
    function("transpose_f32")(
        source.ctypes.data, source.strides[0] // 4, *source.shape, target.ctypes.data, target.strides[0] // 4
    )


def warp(  # noqa: PLR0913 - what it takes besides both images is three numbers
    image: Image, matrix: npt.NDArray[np.float64], target: Image, *, mode: str, fill: float, first: int = 0
) -> int:
    """Fill ``target`` by linear interpolation at ``matrix`` (3, 3) times (column, row, 1); see FILLED and BLENDED.

    The target's first row is row ``first`` of the result.
    """
    if not (image.flags.c_contiguous and target.flags.c_contiguous and image.dtype == target.dtype):
        raise ValueError("both arrays have to be contiguous and of one type")
    channels = image.shape[2] if image.ndim > 2 else 1
    places = np.ascontiguousarray(matrix[:2], np.float64)
    found: int = function(f"warp_{_NAMES[image.dtype]}")(
        image.ctypes.data, *image.shape[:2], channels, target.ctypes.data, first, first + len(target),
        target.shape[1], places.ctypes.data, MODES[mode], fill,
    )  # fmt: skip
    return found


def mirror(image: Image) -> Image:
    """A contiguous ``image[:, ::-1]``."""
    if not image.flags.c_contiguous:
        raise ValueError("the array has to be contiguous")
    target = np.empty_like(image)
    pixel = image.itemsize * (image.shape[2] if image.ndim > 2 else 1)
    function("mirror")(image.ctypes.data, target.ctypes.data, *image.shape[:2], pixel)
    return target


def smooth(image: Image, down: npt.NDArray[np.uint16], across: npt.NDArray[np.uint16], target: Image) -> None:
    """Filter uint8 values along both axes; weights are parts of 2^16 from the middle on, of it half.

    A radius is 64 at most.
    """
    whole = image.flags.c_contiguous and target.flags.c_contiguous and image.dtype == target.dtype == np.uint8
    if not whole or image.shape != target.shape:
        raise ValueError("both arrays have to be contiguous, of uint8 and of one shape")
    channels = image.shape[2] if image.ndim > 2 else 1
    line = np.empty((image.shape[1] + 2 * len(across)) * channels, np.uint16)
    done = function("smooth_u8")(
        image.ctypes.data, *image.shape[:2], channels, down.ctypes.data, len(down) - 1, across.ctypes.data,
        len(across) - 1, line.ctypes.data, target.ctypes.data,
    )  # fmt: skip
    if not done:
        raise ValueError(f"filters of {len(down)} and {len(across)} weights are too long")


def png_filter(image: Image) -> Image:
    """Rows of a PNG before compression, (height, 1 + bytes of a row); 16-bit images have to be big-endian."""
    if not image.flags.c_contiguous:
        raise ValueError("the array has to be contiguous")
    height = image.shape[0]
    length = image.nbytes // height
    target, spare = np.empty((height, 1 + length), np.uint8), np.empty(2 * length, np.uint8)
    pixel = length // image.shape[1]
    function("png_filter")(image.ctypes.data, height, length, pixel, target.ctypes.data, spare.ctypes.data)
    return target


def halve(plane: Image, across: int, down: int) -> Image:
    """Means of ``across`` columns (1 or 2) and ``down`` rows of a uint8 plane; the border is repeated."""
    if not plane.flags.c_contiguous or plane.dtype != np.uint8 or plane.ndim != 2:
        raise ValueError("the plane has to be contiguous and of uint8")
    height, width = plane.shape
    target = np.empty((-(-height // down), -(-width // across)), np.uint8)
    function("halve")(plane.ctypes.data, height, width, across, down, target.ctypes.data)
    return target


def clipped(planes: tuple[Image, Image, Image], across: int, down: int) -> float:
    """How far luma and chroma (blue, red) lie outside of RGB where they are averaged, in grey levels squared."""
    luma, blue, red = planes
    fits = blue.shape == red.shape == (-(-luma.shape[0] // down), -(-luma.shape[1] // across))
    if not fits or not all(plane.flags.c_contiguous and plane.dtype == np.uint8 for plane in planes):
        raise ValueError(f"chroma of {blue.shape} does not fit luma of {luma.shape}")
    found: float = function("clipped")(luma.ctypes.data, blue.ctypes.data, red.ctypes.data, *luma.shape, across, down)
    return found
