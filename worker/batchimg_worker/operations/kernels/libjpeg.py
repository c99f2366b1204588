"""JPEG to planes and back, with the libjpeg-turbo that Pillow's wheel holds and the C code of ``native/jpeg.c``.

Calls release the GIL. Where Pillow was not installed from a wheel for Linux, nothing here is available.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import PIL

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import native

FUNCTIONS = (
    "jpeg_std_error",
    "jpeg_CreateDecompress",
    "jpeg_mem_src",
    "jpeg_read_header",
    "jpeg_start_decompress",
    "jpeg_read_raw_data",
    "jpeg_finish_decompress",
    "jpeg_destroy_decompress",
    "jpeg_CreateCompress",
    "jpeg_mem_dest",
    "jpeg_set_defaults",
    "jpeg_set_quality",
    "jpeg_start_compress",
    "jpeg_write_raw_data",
    "jpeg_finish_compress",
    "jpeg_destroy_compress",
)
"""In the order of the structure in ``native/libjpeg.h``."""

SONAME = "libjpeg-*.so.62.*"  # the number is that of the interface
HEADER_BYTES = 1 << 12


@dataclass(frozen=True)
class Layout:
    """How a JPEG holds its pixels: ``across`` columns and ``down`` rows of luma share one sample of chroma.

    ``planes`` is 1 (grey) or 3 (luma and two of chroma).
    """

    height: int
    width: int
    planes: int
    across: int = 1
    down: int = 1

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each plane."""
        chroma = (-(-self.height // self.down), -(-self.width // self.across))
        return ((self.height, self.width), chroma, chroma)[: self.planes]


def available() -> bool:
    """Whether both the C code and the libjpeg that it calls are there."""
    return _functions() is not None


@cache
def _functions() -> ctypes.Array[ctypes.c_void_p] | None:
    folder = Path(PIL.__file__).resolve().parent.parent / "pillow.libs"
    for file in sorted(folder.glob(SONAME)):
        try:
            library = ctypes.CDLL(str(file))
            found = [ctypes.cast(getattr(library, name), ctypes.c_void_p) for name in FUNCTIONS]
        except (OSError, AttributeError):
            continue
        if native.available():
            return (ctypes.c_void_p * len(found))(*found)
    return None


def layout_of(data: bytes) -> Layout | None:
    """What the header says; None for a file whose planes `read` does not give, or that is damaged."""
    found = (ctypes.c_int32 * 5)()
    return Layout(*found) if native.function("jpeg_layout")(_functions(), data, len(data), found) else None


def read(data: bytes, layout: Layout) -> tuple[Image, ...] | None:
    """The planes, uint8; None where libjpeg has anything to complain of. ``layout`` is that of `layout_of`."""
    planes = tuple(np.empty(shape, np.uint8) for shape in layout.shapes)
    return planes if native.function("jpeg_read")(_functions(), data, len(data), _addresses(planes)) else None


def write(planes: Sequence[Image], layout: Layout, quality: int) -> bytes | None:
    """A JPEG file with libjpeg's usual tables for this quality; None where libjpeg refuses."""
    if any(plane.shape != shape or plane.dtype != np.uint8 for plane, shape in zip(planes, layout.shapes, strict=True)):
        raise ValueError(f"planes of {[plane.shape for plane in planes]} do not fit {layout}")
    contiguous = tuple(np.ascontiguousarray(plane) for plane in planes)
    room = np.empty(HEADER_BYTES + sum(plane.size for plane in planes), np.uint8)
    file, size = ctypes.c_void_p(room.ctypes.data), ctypes.c_ulong(room.size)
    about = (ctypes.c_int32 * 5)(layout.height, layout.width, layout.planes, layout.across, layout.down)
    done = native.function("jpeg_write")(
        _functions(), _addresses(contiguous), about, quality, ctypes.byref(file), ctypes.byref(size)
    )
    try:
        return ctypes.string_at(file.value or 0, size.value) if done else None
    finally:
        if file.value != room.ctypes.data:
            native.function("jpeg_release")(file)


def _addresses(planes: Sequence[Image]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * 3)(*(plane.ctypes.data for plane in planes))
