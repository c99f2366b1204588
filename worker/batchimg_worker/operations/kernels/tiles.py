"""Applies separable filters in tiles, so that memory does not grow with the image."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import depth

TILE_VALUES = 1 << 21
"""How many float32 values the middle of a tile holds at most (8 MB); results and buffers come on top."""

STRIP_VALUES = 1 << 19


class Axis(Protocol):
    """One direction of a separable filter: which inputs an output needs, and the filter along it."""

    @property
    def length(self) -> int:
        """How many outputs there are."""
        ...

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The range of inputs that the outputs from start to stop need, halo included."""
        ...

    def apply(self, block: Plane, axis: int, outputs: tuple[int, int], first: int) -> Plane:
        """Filter ``block``, which begins at input ``first``, along ``axis``; return these outputs only."""
        ...


def separable(image: Image, rows: Axis, columns: Axis, target: Image) -> None:
    """Filter every channel along both axes and store the result in ``target``, shape (rows.length, columns.length)."""
    scale = depth.white(target.dtype) if image.dtype == np.bool_ else 1.0
    for plane, result in zip(depth.planes(image), depth.planes(target), strict=True):
        for top, bottom, left, right in _tiles(rows, columns):
            first, last = rows.source(top, bottom)
            middle = np.empty((last - first, right - left), np.float32)
            _along_columns(plane[first:last], columns, (left, right), middle)
            if scale != 1.0:
                middle *= scale
            values = rows.apply(middle, 0, (top, bottom), first)
            depth.store(values, result[top:bottom, left:right])


def _along_columns(plane: Image, columns: Axis, outputs: tuple[int, int], middle: Plane) -> None:
    left, right = columns.source(*outputs)
    step = max(1, STRIP_VALUES // (right - left))
    for top in range(0, plane.shape[0], step):
        block = plane[top : top + step, left:right].astype(np.float32, order="C")
        middle[top : top + step] = columns.apply(block, 1, outputs, left)


def _tiles(rows: Axis, columns: Axis) -> Iterator[tuple[int, int, int, int]]:
    height, width = _tile_size(rows, columns)
    for top in range(0, rows.length, height):
        for left in range(0, columns.length, width):
            yield top, min(top + height, rows.length), left, min(left + width, columns.length)


def _tile_size(rows: Axis, columns: Axis) -> tuple[int, int]:
    """Halve the side with the longer source until the tile fits; nearly square sources have the least halo."""
    height, width = rows.length, columns.length
    while height * width > 1:
        down, across = _span(rows, height), _span(columns, width)
        if max(down, height) * width <= TILE_VALUES and across <= STRIP_VALUES:
            break
        if width == 1 or (height > 1 and down >= across):
            height = (height + 1) // 2
        else:
            width = (width + 1) // 2
    return height, width


def _span(axis: Axis, length: int) -> int:
    """How many inputs ``length`` outputs in the middle need."""
    start = max(0, (axis.length - length) // 2)
    first, last = axis.source(start, min(axis.length, start + length))
    return last - first
