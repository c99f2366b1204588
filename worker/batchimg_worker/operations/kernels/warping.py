"""Rotation, tile by tile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth

TILE = 512
MARGIN = 3
"""Pixels around a tile's source that cubic interpolation looks at, and one for rounding."""

Matrix = npt.NDArray[np.float64]

NdimageMode = Literal["grid-constant", "nearest", "reflect", "mirror", "grid-wrap"]
NDIMAGE_MODES: dict[str, NdimageMode] = {
    "constant": "grid-constant",
    "edge": "nearest",
    "symmetric": "reflect",
    "reflect": "mirror",
    "wrap": "grid-wrap",
}


@dataclass(frozen=True)
class Placement:
    """Where each output pixel comes from: ``matrix`` (3, 3) maps output (x, y, 1) to input (x, y, 1)."""

    matrix: npt.NDArray[np.float64]
    output_size: tuple[int, int]
    """Height and width of the result."""


def rotation(height: int, width: int, angle: float, *, resize: bool) -> Placement:
    """The transform of `skimage.transform.rotate`, which has no public function for it."""
    centre = np.array((width, height)) / 2.0 - 0.5
    turn = np.eye(3)
    radians = np.deg2rad(angle)
    turn[:2, :2] = (np.cos(radians), -np.sin(radians)), (np.sin(radians), np.cos(radians))
    whole = _shift(centre) @ (turn @ _shift(-centre))
    size = (height, width)
    if resize:
        corners = np.array([[0, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1], [width - 1, 0, 1]])
        places = (corners @ np.linalg.inv(whole).T)[:, :2]
        low, high = places.min(axis=0), places.max(axis=0)
        columns, rows = np.around(high - low + 1).astype(int)
        size = (int(rows), int(columns))
        whole = whole @ _shift(low)
    whole[2] = (0, 0, 1)
    return Placement(whole, size)


def _shift(by: Matrix) -> Matrix:
    matrix = np.eye(3)
    matrix[:2, 2] = by
    return matrix


def _skimage() -> Any:
    """scikit-image has no types; it is imported late, because fast images never need it."""
    from skimage import transform

    return transform


def warp(image: Image, placement: Placement, *, order: int, mode: str, cval: float) -> Image:
    """`skimage.transform.warp` for an affine map; ``cval`` is a part of white, for floats a value."""
    if image.dtype == np.bool_:
        order = 0
    fill = cval * depth.white(image.dtype)
    target = np.empty((*placement.output_size, *image.shape[2:]), image.dtype)
    if order == 0:
        _take_nearest(image, placement, target, mode, fill)
    else:
        low, high = interpolate(image, placement, target, (order, mode, fill))
        depth.clip(target, low, high)
    return target


def _take_nearest(image: Image, placement: Placement, target: Image, mode: str, fill: float) -> None:
    """Exactly what skimage does for order 0: coordinates in float64, then scipy, with no float copy of the image."""
    fill = depth.level(fill, image.dtype)
    from scipy import ndimage

    mapping = _skimage().SimilarityTransform(matrix=placement.matrix)
    for rows, columns in _tiles(*target.shape[:2]):
        grid = np.mgrid[rows, columns].reshape(2, -1)[::-1].T
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        places = mapping(grid).T[::-1].reshape(2, *shape)
        for plane, result in zip(depth.planes(image), depth.planes(target), strict=True):
            result[rows, columns] = ndimage.map_coordinates(
                plane, places, order=0, mode=NDIMAGE_MODES[mode], cval=fill, prefilter=False
            )


def interpolate(image: Image, placement: Placement, target: Image, how: tuple[int, str, float]) -> tuple[float, float]:
    """Fill ``target``, and return the range of values that skimage clips its result to."""
    order, mode, fill = how
    skimage_warp = _skimage().warp
    low, high = depth.extremes(image)
    lowest, highest = np.inf, -np.inf
    for rows, columns in _tiles(*target.shape[:2]):
        ys, xs = source_of(placement.matrix, rows, columns)
        shift_in = np.array([[1, 0, -xs.start], [0, 1, -ys.start], [0, 0, 1]], np.float64)
        shift_out = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1]], np.float64)
        matrix = shift_in @ placement.matrix @ shift_out
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        for plane, result in zip(depth.planes(image), depth.planes(target), strict=True):
            region = _padded(plane, ys, xs, mode, fill)
            values = skimage_warp(
                region, matrix, output_shape=shape, order=order, cval=fill, clip=False, preserve_range=True
            )
            lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
            depth.store(values, result[rows, columns])
    if mode == "constant" and lowest <= fill <= highest:
        low, high = min(low, fill), max(high, fill)
    return low, high


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))


def source_of(matrix: npt.NDArray[np.float64], rows: slice, columns: slice) -> tuple[slice, slice]:
    """The input rows and columns under an output tile, with margin; they may lie outside of the image."""
    corners = [(x, y, 1) for x in (columns.start, columns.stop - 1) for y in (rows.start, rows.stop - 1)]
    places = (matrix @ np.array(corners, np.float64).T)[:2]
    low = np.floor(places.min(axis=1)).astype(int) - MARGIN
    high = np.ceil(places.max(axis=1)).astype(int) + MARGIN + 1
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _padded(plane: Image, ys: slice, xs: slice, mode: str, fill: float) -> npt.NDArray[np.floating]:
    """A region of the plane as floats, continued beyond the image as numpy.pad does.

    skimage computes coordinates in the region's type: float32 is too coarse for 65536 grey levels.
    """
    height, width = plane.shape
    dtype = np.float64 if plane.dtype == np.uint16 else np.float32
    if mode != "constant":
        rows, columns = _continued(ys, height, mode), _continued(xs, width, mode)
        return np.ascontiguousarray(plane[rows[:, None], columns], dtype)
    region = np.full((ys.stop - ys.start, xs.stop - xs.start), fill, dtype)
    top, bottom = max(ys.start, 0), min(ys.stop, height)
    left, right = max(xs.start, 0), min(xs.stop, width)
    if top < bottom and left < right:
        inside = plane[top:bottom, left:right]
        region[top - ys.start : bottom - ys.start, left - xs.start : right - xs.start] = inside
    return region


def _continued(positions: slice, length: int, mode: str) -> Image:
    """Index of the pixel that stands at each position, inside or outside of the image."""
    index = np.arange(positions.start, positions.stop)
    if mode == "edge":
        return np.clip(index, 0, length - 1)
    if mode == "wrap":
        index %= length
        return index
    twice = 1 if mode == "symmetric" else 0  # whether the border pixel itself is repeated
    period = max(1, 2 * length - 2 + 2 * twice)
    index %= period
    mirrored: Image = np.minimum(index, period - twice - index)
    return mirrored
