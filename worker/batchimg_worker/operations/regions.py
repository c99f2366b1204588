"""Rectangles of an image, and what an operation is given of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image
    from batchimg_worker.operations.registry import Shape


@dataclass(frozen=True, slots=True)
class Region:
    """Rows from ``top`` to ``bottom`` and columns from ``left`` to ``right``, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """How many rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """How many columns."""
        return self.right - self.left

    def grown(self, by: int) -> Region:
        """With so many pixels more on every side."""
        return Region(self.top - by, self.bottom + by, self.left - by, self.right + by)

    def moved(self, down: int, right: int) -> Region:
        """So many pixels further."""
        return Region(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def within(self, shape: Shape) -> Region:
        """What of it lies in an image of this shape; empty, but at a place in the image, where nothing does."""
        top, left = min(max(self.top, 0), shape[0]), min(max(self.left, 0), shape[1])
        return Region(top, max(top, min(self.bottom, shape[0])), left, max(left, min(self.right, shape[1])))

    def slices(self, corner: Region) -> tuple[slice, slice]:
        """Where it is in an array that begins at ``corner``."""
        return (
            slice(self.top - corner.top, self.bottom - corner.top),
            slice(self.left - corner.left, self.right - corner.left),
        )


def whole(shape: Shape) -> Region:
    """All of an image."""
    return Region(0, shape[0], 0, shape[1])


@dataclass(frozen=True, slots=True)
class Block:
    """The part of an image that makes one region of a result.

    ``array`` holds the ``region`` of an image of ``shape``; ``wanted`` is a region of the result. ``found`` is what
    a first pass over the whole image found, None where there was none.
    """

    array: Image
    region: Region
    shape: Shape
    wanted: Region
    found: Any = None
