"""Kernels on parts of an image: the same arithmetic as on the whole, with places counted from the whole's corner."""

from collections.abc import Mapping

import numpy as np

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth, fast_scaling, native, scaling, warping
from batchimg_worker.operations.kernels.scaling import ResizeAxis
from batchimg_worker.operations.reference.layers import grey, levels, two_levels
from batchimg_worker.operations.regions import Block, Region
from batchimg_worker.operations.registry import Scalar, Shape

TYPES = ("uint8", "uint16", "float32")


def cut(result: Image, block: Block) -> Image:
    """Without the halo, where a result has the places of its input."""
    return np.ascontiguousarray(result[block.wanted.slices(block.region)])


def above(image: Image, level: float) -> Image:
    """White where the luminance is above a level of the image's own."""
    return two_levels(levels(image), grey(image) > level)


def pad(block: Block, place: Region, mode: str, cval: float) -> Image:
    """The pixels at ``place`` of the input, which may lie outside of it."""
    array = block.array
    if mode == "edge":
        rows = np.clip(np.arange(place.top, place.bottom), 0, block.shape[0] - 1) - block.region.top
        columns = np.clip(np.arange(place.left, place.right), 0, block.shape[1] - 1) - block.region.left
        return np.ascontiguousarray(array[rows[:, None], columns])
    result = np.empty((place.height, place.width, *array.shape[2:]), array.dtype)
    result[...] = depth.level(cval * depth.white(array.dtype), array.dtype)
    inside = place.within(block.shape)
    result[inside.slices(place)] = array[inside.slices(block.region)]
    return result


def warped_from(placement: warping.Placement, wanted: Region) -> Region:
    """Where the pixels of a region come from, with what interpolation looks at."""
    ys, xs = warping.source_of(placement.matrix, slice(wanted.top, wanted.bottom), slice(wanted.left, wanted.right))
    return Region(ys.start, ys.stop, xs.start, xs.stop)


def warp(block: Block, placement: warping.Placement, mode: str, cval: float) -> Image:
    """`warping.warp` with order 1; what skimage clips where no pixel is all fill is not clipped."""
    array, wanted = block.array, block.wanted
    fill = cval * depth.white(array.dtype)
    inward = np.array([[1, 0, -block.region.left], [0, 1, -block.region.top], [0, 0, 1]], np.float64)
    outward = np.array([[1, 0, wanted.left], [0, 1, wanted.top], [0, 0, 1]], np.float64)
    matrix = inward @ placement.matrix @ outward
    target = np.empty((wanted.height, wanted.width, *array.shape[2:]), array.dtype)
    if native.available() and array.dtype.name in TYPES:
        native.warp(np.ascontiguousarray(array), matrix, target, mode=mode, fill=fill)
    else:
        warping.interpolate(array, warping.Placement(matrix, (wanted.height, wanted.width)), target, (1, mode, fill))
    return target


def resize_axes(shape: Shape, size: Shape, parameters: Mapping[str, Scalar]) -> tuple[ResizeAxis, ResizeAxis]:
    """Rows and columns of a resize from one shape to another, as `skimage.transform.resize` sees them."""
    order, smooth = parameters["order"], parameters.get("anti_aliasing")
    if order == 0 and smooth is None:
        smooth = False
    return scaling.axes(shape, size, order=order, anti_aliasing=smooth)  # type: ignore[arg-type] # checked by `bind`


def resize(block: Block, rows: ResizeAxis, columns: ResizeAxis) -> Image:
    """`scaling.resize`; `Block.found` are the extremes that a cubic result is clipped to."""
    array, wanted, corner = block.array, block.wanted, (block.region.top, block.region.left)
    outputs = ((wanted.top, wanted.bottom), (wanted.left, wanted.right))
    if rows.order == 1 and native.available() and array.dtype.name in TYPES:
        return fast_scaling.part(array, (rows, columns), outputs, corner)
    target = np.empty((wanted.height, wanted.width, *array.shape[2:]), array.dtype)
    for plane, result in zip(depth.planes(array), depth.planes(target), strict=True):
        middle = columns.apply(plane.astype(np.float32), 1, outputs[1], corner[1])
        depth.store(rows.apply(middle, 0, outputs[0], corner[0]), result)
    if block.found is not None:
        depth.clip(target, *block.found)
    return target
