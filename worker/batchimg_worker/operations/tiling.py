"""How each operation is done region by region, for images that are not held in memory.

========== =====================================================================================
local      a pixel of the result needs the pixel at its place
halo       and its neighbours, as far as the parameters say
geometry   other places, known from the parameters
global     a first pass over the whole image, a histogram say, and then one of the kinds above
========== =====================================================================================

An operation without an entry here, or with a refusal for its parameters, needs its image as a whole.
Importing this imports no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batchimg_worker.operations.regions import Region
from batchimg_worker.operations.registry import OPERATIONS, Scalar, Shape

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image
    from batchimg_worker.operations.regions import Block

Parameters = Mapping[str, Scalar]
FLOAT_BYTES = 4
CONTINUED = ("constant", "edge")
"""Border modes whose source lies beside the region; the others may need the far end of the image."""


class Survey(Protocol):
    """A first pass: it is shown every region of the input once, in any order."""

    def add(self, array: Image) -> None:
        """Look at one region."""

    def found(self) -> Any:
        """What `Block.found` will be."""


@dataclass(frozen=True)
class Tiling:
    """How one operation is done in regions; every function gets the parameters as a mapping.

    ``needs`` tells the region of the input that makes one of the result; it may reach over the border. ``apply``
    makes the region out of its block; None runs the operation on the block and cuts the halo off. ``settle`` turns
    parameters that depend on the size of the whole image into such that do not. ``refusal`` gets the bytes of a
    value, None where they are not known yet, and says why the operation cannot be done in regions, empty where it
    can. ``survey`` makes the first pass, None where none is needed with these parameters.
    """

    kind: Literal["local", "halo", "geometry", "global"]
    needs: Callable[[Region, Shape, Parameters], Region]
    apply: Callable[[Block, Parameters], Image] | None = None
    settle: Callable[[Shape, Parameters], Parameters] | None = None
    refusal: Callable[[Parameters, int | None], str] | None = None
    survey: Callable[[Parameters], Survey | None] | None = None


def refusal(operation: str, parameters: Parameters, value_bytes: int | None = None) -> str:
    """Why this step cannot be done in regions; empty where it can."""
    tiling = OPERATIONS.get(operation).tiling
    if tiling is None:
        return "it looks at the whole image at once"
    return "" if tiling.refusal is None else tiling.refusal(parameters, value_bytes)


def _same(region: Region, _: Shape, __: Parameters) -> Region:
    return region


LOCAL = Tiling("local", _same)


def _halo(pixels: Callable[[Parameters], int]) -> Callable[[Region, Shape, Parameters], Region]:
    return lambda region, _, parameters: region.grown(pixels(parameters))


def _number(parameters: Parameters, name: str, default: float = 0.0) -> float:
    value = parameters.get(name)
    return default if value is None else float(value)


def _reach(parameters: Parameters, name: str, default: float = 0.0) -> int:
    """How far a Gaussian cut at 4 sigma reaches."""
    return int(4 * _number(parameters, name, default) + 0.5)


def _no_floats(parameters: Parameters, value_bytes: int | None) -> str:  # noqa: ARG001 - one signature for all
    return "levels of float images cannot be counted" if value_bytes == FLOAT_BYTES else ""


def _blur_settled(shape: Shape, parameters: Parameters) -> Parameters:
    from batchimg_worker.operations.filters import sigma_of

    given: Any = parameters
    return {"sigma": sigma_of(shape, **given)}


def _blur_needs(region: Region, _: Shape, parameters: Parameters) -> Region:
    """Beginning where the kernel takes one of its samples, as it does in the whole image."""
    from batchimg_worker.operations.kernels import fast_smoothing

    stride, reach = fast_smoothing.spacing(_number(parameters, "sigma"))
    wide = region.grown(reach)
    return Region(wide.top // stride * stride, wide.bottom, wide.left // stride * stride, wide.right)


def _flip_needs(region: Region, shape: Shape, parameters: Parameters) -> Region:
    if parameters["direction"] == "horizontal":
        return Region(region.top, region.bottom, shape[1] - region.right, shape[1] - region.left)
    return Region(shape[0] - region.bottom, shape[0] - region.top, region.left, region.right)


def _flip(block: Block, parameters: Parameters) -> Image:
    return OPERATIONS.get("flip").reference(block.array, **parameters)  # type: ignore[no-any-return] # an array


def _crop_needs(region: Region, shape: Shape, parameters: Parameters) -> Region:
    from batchimg_worker.operations.geometry import crop_corner

    given: Any = {"x": None, "y": None, **parameters}
    return region.moved(*crop_corner(shape, **given))


def _crop(block: Block, _: Parameters) -> Image:
    return block.array


def _pad_needs(region: Region, shape: Shape, parameters: Parameters) -> Region:
    return _beside(_in_pad(region, shape, parameters), shape)


def _in_pad(region: Region, shape: Shape, parameters: Parameters) -> Region:
    """Where a region of the result lies, counted from the corner of the input."""
    from batchimg_worker.operations.framing import borders

    given: Any = {name: value for name, value in parameters.items() if name not in ("mode", "cval")}
    (top, _), (left, _) = borders(shape, **given)
    return region.moved(-top, -left)


def _beside(region: Region, shape: Shape) -> Region:
    """The region, or the pixels of the image next to it where it lies outside: an edge goes on with these."""
    top, left = min(max(region.top, 0), shape[0] - 1), min(max(region.left, 0), shape[1] - 1)
    return Region(top, max(top + 1, region.bottom), left, max(left + 1, region.right))


def _pad(block: Block, parameters: Parameters) -> Image:
    from batchimg_worker.operations.kernels import blocks

    place = _in_pad(block.wanted, block.shape, parameters)
    return blocks.pad(block, place, str(parameters["mode"]), _number(parameters, "cval"))


def _continued(parameters: Parameters, _: int | None) -> str:
    mode = parameters["mode"]
    return "" if mode in CONTINUED else f"mode {mode} needs pixels from far away; use mode constant or edge"


def _rotate_refusal(parameters: Parameters, value_bytes: int | None) -> str:
    if parameters["order"] != 1:
        return f"order {parameters['order']} cannot be done in parts; use order 1"
    return _continued(parameters, value_bytes)


def _rotate_needs(region: Region, shape: Shape, parameters: Parameters) -> Region:
    from batchimg_worker.operations.kernels import blocks, warping

    placement = warping.rotation(shape[0], shape[1], _number(parameters, "angle"), resize=bool(parameters["resize"]))
    return _beside(blocks.warped_from(placement, region), shape)


def _rotate(block: Block, parameters: Parameters) -> Image:
    from batchimg_worker.operations.kernels import blocks, warping

    placement = warping.rotation(
        block.shape[0], block.shape[1], _number(parameters, "angle"), resize=bool(parameters["resize"])
    )
    return blocks.warp(block, placement, str(parameters["mode"]), _number(parameters, "cval"))


def _resize_needs(region: Region, shape: Shape, parameters: Parameters) -> Region:
    from batchimg_worker.operations.kernels import blocks

    rows, columns = blocks.resize_axes(shape, OPERATIONS.get("resize").output_shape(shape, parameters), parameters)
    top, bottom = rows.source(region.top, region.bottom)
    left, right = columns.source(region.left, region.right)
    return Region(top, bottom, left, right)


def _resize(block: Block, parameters: Parameters) -> Image:
    from batchimg_worker.operations.kernels import blocks

    size = OPERATIONS.get("resize").output_shape(block.shape, parameters)
    return blocks.resize(block, *blocks.resize_axes(block.shape, size, parameters))


def _resize_refusal(parameters: Parameters, value_bytes: int | None) -> str:
    plain = parameters["order"] == 0 and parameters.get("anti_aliasing") is None
    return "order 0 smooths float images only as a whole; use order 1" if plain and value_bytes == FLOAT_BYTES else ""


def _extremes(parameters: Parameters) -> Survey | None:
    from batchimg_worker.operations.kernels import surveys

    return surveys.Extremes() if _number(parameters, "order") > 1 else None


def _thumbnail_settled(_: Shape, parameters: Parameters) -> Parameters:
    return {"longest": parameters["longest"], "enlarge": False, "order": parameters["order"]}


def _threshold_refusal(parameters: Parameters, value_bytes: int | None) -> str:
    return _no_floats(parameters, value_bytes) if parameters["method"] == "otsu" else ""


def _threshold_halo(parameters: Parameters) -> int:
    from batchimg_worker.operations.structure import BLOCK_SIZE

    if parameters["method"] != "local":
        return 0
    return int(4 * (_number(parameters, "block_size", BLOCK_SIZE) - 1) / 6 + 0.5)


def _threshold(block: Block, parameters: Parameters) -> Image:
    from batchimg_worker.operations.kernels import blocks

    if block.found is None:
        return blocks.cut(OPERATIONS.get("threshold").run(block.array, parameters), block)
    return blocks.above(block.array, block.found)


def _otsu(parameters: Parameters) -> Survey | None:
    from batchimg_worker.operations.kernels import surveys

    return surveys.Otsu() if parameters["method"] == "otsu" else None


def _normalize(block: Block, _: Parameters) -> Image:
    from batchimg_worker.operations.reference import tones

    return tones.stretched(block.array, *block.found)


def _percentiles(parameters: Parameters) -> Survey:
    from batchimg_worker.operations.kernels import surveys

    return surveys.Percentiles(_number(parameters, "low"), _number(parameters, "high"))


def _equalize_refusal(parameters: Parameters, value_bytes: int | None) -> str:
    if parameters["method"] == "clahe":
        return "method clahe looks at the whole image at once; use method histogram"
    return _no_floats(parameters, value_bytes)


def _equalize(block: Block, _: Parameters) -> Image:
    from batchimg_worker.operations.kernels import fast_colours, native
    from batchimg_worker.operations.reference import tones

    if native.available() and block.array.dtype.name == "uint8":
        return fast_colours.by_shares(block.array, block.found)
    return tones.by_table(block.array, block.found)


def _shares(_: Parameters) -> Survey:
    from batchimg_worker.operations.kernels import surveys

    return surveys.Shares()


def _edges_refusal(parameters: Parameters, _: int | None) -> str:
    return "method canny follows lines through the whole image" if parameters["method"] == "canny" else ""


def _denoise_refusal(parameters: Parameters, _: int | None) -> str:
    method = parameters["method"]
    return "" if method in ("median", "bilateral") else f"method {method} looks at the whole image at once"


def _denoise_halo(parameters: Parameters) -> int:
    from batchimg_worker.operations.noise import denoise_halo

    names = ("method", "radius", "sigma_spatial", "patch_size", "patch_distance")
    return denoise_halo(*(parameters.get(name) for name in names))  # type: ignore[arg-type] # checked by `bind`


TILINGS: Mapping[str, Tiling] = {
    **dict.fromkeys(("contrast", "gamma", "brightness", "invert", "grayscale", "convert", "strip_metadata"), LOCAL),
    "flip": Tiling("geometry", _flip_needs, _flip),
    "crop": Tiling("geometry", _crop_needs, _crop),
    "pad": Tiling("geometry", _pad_needs, _pad, refusal=_continued),
    "rotate": Tiling("geometry", _rotate_needs, _rotate, refusal=_rotate_refusal),
    "resize": Tiling("geometry", _resize_needs, _resize, refusal=_resize_refusal, survey=_extremes),
    "thumbnail": Tiling(
        "geometry", _resize_needs, _resize, settle=_thumbnail_settled, refusal=_resize_refusal, survey=_extremes
    ),
    "blur": Tiling("halo", _blur_needs, settle=_blur_settled),
    "sharpen": Tiling("halo", _halo(lambda given: _reach(given, "radius"))),
    "edges": Tiling("halo", _halo(lambda _: 1), refusal=_edges_refusal),
    "morphology": Tiling("halo", _halo(lambda given: 2 * int(_number(given, "radius")))),
    "denoise": Tiling("halo", _halo(_denoise_halo), refusal=_denoise_refusal),
    "threshold": Tiling("global", _halo(_threshold_halo), _threshold, refusal=_threshold_refusal, survey=_otsu),
    "normalize": Tiling("global", _same, _normalize, refusal=_no_floats, survey=_percentiles),
    "equalize": Tiling("global", _same, _equalize, refusal=_equalize_refusal, survey=_shares),
}


def declare() -> None:
    """Tell the registry; the operations have to be registered already."""
    for name, tiling in TILINGS.items():
        OPERATIONS.tile(name, tiling)
