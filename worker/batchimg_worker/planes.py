"""JPEG to JPEG without RGB between: a recipe's steps on the planes of luma and chroma, as the file holds them.

That spares the conversions of colours and of chroma's resolution, and half of the values. It is a choice of kernels,
not of results: what is written is as near to the ideal result (scikit-image's, of the decoded original) as what the
path by RGB writes. `read` returns None wherever that is not sure, and the caller takes the path by RGB:

- the file is no plain JPEG of 8 bits in grey or YCbCr, or libjpeg has anything to complain of;
- the recipe has a step without a kernel for planes, a measure, colours to convert, or outputs that are not
  JPEG of one chroma resolution, which is not finer than the file's;
- colours of the planes lie outside of RGB, so that decoding clips them, and a blur would show it;
- the image is small, or a sample of chroma stands for less at its border than elsewhere: odd sides, in 4:2:0, of the
  image or of a result; chroma that is finer down than across, turned on its side;
- the image is smooth all over. Then its blocks are all alike, and whether a step of quantization more or less is
  lost in one of them is lost in all: both ways are near to the ideal, but either may be the nearer one by 0.3 dB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from batchimg_worker import encoding
from batchimg_worker.codec import Encoded, turned
from batchimg_worker.errors import EncodeError
from batchimg_worker.header import BYTE_BITS, UPRIGHT_SIDES, Header
from batchimg_worker.operations import Scalar
from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.filters import sigma_of
from batchimg_worker.operations.kernels import fast_smoothing, fast_warping, libjpeg, native, warping
from batchimg_worker.operations.kernels.libjpeg import Layout
from batchimg_worker.recipe import Output, Recipe, Step

MIDDLE = 128
"""Chroma without colour."""

WHITE = 255
SMALLEST_SIDE = 64
"""Of images whose border is a small part of them: there chroma's border differs from that of RGB."""

CLIPPED = 0.02
"""How much may be outside of RGB, in grey levels squared: a fiftieth part of what JPEG of quality 90 loses anyway."""

SMOOTH = 4.0
"""Squared second differences of means of blocks of luma: a photo has ten times as much and more, a gradient less."""

BLOCK = 16
LOOK_AT_BANDS = 4  # of three rows of blocks

STEEP = 0.87
"""The sine of 60 degrees: a longer way down than across."""

Sampling: TypeAlias = tuple[int, int]
"""How many columns and rows of luma share a sample of chroma."""

SAMPLINGS: dict[str, Sampling] = {"4:2:0": (2, 2), "4:2:2": (2, 1), "4:4:4": (1, 1)}
ROTATED_MODES = ("constant", "edge")


@dataclass(frozen=True, eq=False)
class Planes:
    """An upright image: one array for grey, or luma and two of chroma, (rows, columns) each and uint8."""

    layout: Layout
    arrays: tuple[Image, ...]
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.layout.height, self.layout.width


def read(data: bytes, header: Header, recipe: Recipe) -> Planes | None:
    """The planes, upright, with the chroma that the file has; None where RGB is the way."""
    converted = recipe.profile != "keep" and header.icc_profile is not None
    wanted = sampling_of(recipe) if _is_plain(header) and not converted and libjpeg.available() else None
    layout = libjpeg.layout_of(data) if wanted else None
    if wanted is None or layout is None or not _fits(layout, header, wanted):
        return None
    if layout.planes > 1 and not _keep_whole_samples(_turned(layout, header.orientation), recipe):
        return None
    arrays = libjpeg.read(data, layout)
    if arrays is None or (layout.planes > 1 and _is_smooth(arrays[0])):
        return None
    planes = _upright(Planes(layout, arrays, header.icc_profile), header.orientation)
    return None if _mixes_colours(recipe) and _clipped(planes) > CLIPPED else planes


def write(planes: Planes, output: Output) -> Encoded:
    """A JPEG file. Raises EncodeError."""
    layout, (luma, *chroma) = planes.layout, planes.arrays
    encoding.check_sides(layout.height, layout.width, "jpeg")
    wanted = SAMPLINGS[output.subsampling or encoding.CHROMA]
    across, down = wanted[0] // layout.across, wanted[1] // layout.down
    if chroma and (across, down) != (1, 1):
        layout = replace(layout, across=wanted[0], down=wanted[1])
        chroma = [native.halve(plane, across, down) for plane in chroma]
    data = libjpeg.write([luma, *chroma], layout, output.quality)
    if data is None:
        raise EncodeError("cannot be written as jpeg: libjpeg refuses it", "Choose another output format.")
    profile, notes = encoding.fitting(planes.icc_profile, layout.planes)
    return Encoded(data if profile is None else encoding.with_jpeg_profile(data, profile), "jpeg", notes)


def run(step: Step, planes: Planes) -> Planes:
    """One step of a recipe for which `read` gave planes."""
    return _KERNELS[step.operation].run(planes, step.parameters)


def _is_plain(header: Header) -> bool:
    return header.format == "jpeg" and header.bits == BYTE_BITS and header.mode in ("RGB", "L")


def sampling_of(recipe: Recipe) -> Sampling | None:
    """The chroma of all outputs; None where planes do not suit."""
    steps = [step for variant in recipe.variants for step in variant.steps]
    if recipe.measures or not steps:
        return None
    if not all(step.operation in _KERNELS and _KERNELS[step.operation].suits(step) for step in steps):
        return None
    outputs = [output for variant in recipe.variants for output in recipe.outputs_of(variant.name)]
    if any(output.format not in ("same", "jpeg") or output.bits not in (None, BYTE_BITS) for output in outputs):
        return None
    found = {output.subsampling or encoding.CHROMA for output in outputs}
    return SAMPLINGS[found.pop()] if len(found) == 1 else None


def _fits(layout: Layout, header: Header, wanted: Sampling) -> bool:
    """Whether chroma is at least as fine as wanted, and of whole samples."""
    if (layout.height, layout.width) != (header.height, header.width):
        return False
    if min(layout.height, layout.width) < SMALLEST_SIDE or layout.height % layout.down or layout.width % layout.across:
        return False
    upright = (layout.across, layout.down) if header.orientation in UPRIGHT_SIDES else (layout.down, layout.across)
    return layout.planes == 1 or (upright[0] <= wanted[0] and upright[1] <= wanted[1])


def _keep_whole_samples(layout: Layout, recipe: Recipe) -> bool:
    """Whether chroma of all rotated results is of whole samples, and lies along the rows as before."""
    for variant in recipe.variants:
        framed = layout
        for step in variant.steps:
            if step.operation != "rotate":
                continue
            angle = np.deg2rad(float(step.parameters["angle"] or 0.0))
            if layout.across != layout.down and abs(np.sin(angle)) > STEEP:
                return False
            framed = _framed(framed, step.parameters)[0]
            if framed.height % layout.down or framed.width % layout.across:
                return False
    return True


def _is_smooth(luma: Image) -> bool:
    """Whether the image is a slope of colours and little more, with grain or without: its blocks tell."""
    rows, columns = (length // BLOCK for length in luma.shape)
    bands = [_block_means(luma[top * BLOCK :][: 3 * BLOCK, : columns * BLOCK]) for top in _spread(rows - 2)]
    return _unevenness(*np.stack(bands, axis=1)) < SMOOTH


def _spread(count: int) -> list[int]:
    """Some numbers below ``count``, from first to last."""
    return sorted(set(np.linspace(0, count - 1, min(count, LOOK_AT_BANDS)).astype(int).tolist()))


def _block_means(rows: Image) -> Plane:
    sums = rows.reshape(-1, BLOCK, rows.shape[1]).sum(axis=1, dtype=np.uint16)
    means: Plane = sums.reshape(len(sums), -1, BLOCK).mean(axis=2, dtype=np.float32) / BLOCK
    return means


def _unevenness(above: Plane, rows: Plane, below: Plane) -> float:
    """The mean square of the second differences down and across."""
    down, across = above + below - 2 * rows, rows[:, :-2] + rows[:, 2:] - 2 * rows[:, 1:-1]
    return float(np.mean(down * down) + np.mean(across * across)) / 2


def _mixes_colours(recipe: Recipe) -> bool:
    return any(_KERNELS[step.operation].mixes for variant in recipe.variants for step in variant.steps)


def _clipped(planes: Planes) -> float:
    if planes.layout.planes == 1:
        return 0.0
    luma, blue, red = planes.arrays
    return native.clipped((luma, blue, red), planes.layout.across, planes.layout.down)


def _upright(planes: Planes, orientation: int) -> Planes:
    """Turned by the EXIF orientation."""
    if orientation == 1:
        return planes
    layout = _turned(planes.layout, orientation)
    arrays = tuple(np.ascontiguousarray(turned(plane, orientation)) for plane in planes.arrays)
    return replace(planes, layout=layout, arrays=arrays, notes=(f"orientation {orientation} applied",))


def _turned(layout: Layout, orientation: int) -> Layout:
    if orientation in UPRIGHT_SIDES:
        return layout
    return replace(layout, height=layout.width, width=layout.height, across=layout.down, down=layout.across)


def _flip(planes: Planes, parameters: Mapping[str, Scalar]) -> Planes:
    across = parameters["direction"] == "horizontal"
    mirrored = (native.mirror(plane) if across else np.ascontiguousarray(plane[::-1]) for plane in planes.arrays)
    return replace(planes, arrays=tuple(mirrored))


def _rotate(planes: Planes, parameters: Mapping[str, Scalar]) -> Planes:
    layout, cval = planes.layout, float(parameters["cval"] or 0.0)
    framed, placement = _framed(layout, parameters)
    fills = (cval, MIDDLE / WHITE, MIDDLE / WHITE)
    shared = ((1, 1), *[(layout.across, layout.down)] * 2)
    arrays = tuple(
        fast_warping.warp(plane, _of_plane(placement, *each, size), mode=str(parameters["mode"]), cval=fill)
        for plane, each, size, fill in zip(planes.arrays, shared, framed.shapes, fills, strict=False)
    )
    return replace(planes, layout=framed, arrays=arrays)


def _framed(layout: Layout, parameters: Mapping[str, Scalar]) -> tuple[Layout, warping.Placement]:
    """The layout of a rotated image, and where its pixels come from."""
    angle, resize = float(parameters["angle"] or 0.0), bool(parameters["resize"])
    placement = warping.rotation(layout.height, layout.width, angle, resize=resize)
    height, width = placement.output_size
    return replace(layout, height=height, width=width), placement


def _of_plane(placement: warping.Placement, across: int, down: int, size: tuple[int, int]) -> warping.Placement:
    """The placement for samples that lie in the middle of ``across`` columns and ``down`` rows."""
    to_pixels = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    return warping.Placement(np.linalg.inv(to_pixels) @ placement.matrix @ to_pixels, size)


def _blur(planes: Planes, parameters: Mapping[str, Scalar]) -> Planes:
    given: Any = parameters
    pixels = sigma_of(planes.size, **given)
    chroma = (pixels / planes.layout.down, pixels / planes.layout.across)
    sigmas = ((pixels, pixels), chroma, chroma)
    smooth = (fast_smoothing.gaussian(plane, *each) for plane, each in zip(planes.arrays, sigmas, strict=False))
    return replace(planes, arrays=tuple(smooth))


def _strip_metadata(planes: Planes, _: Mapping[str, Scalar]) -> Planes:
    return replace(planes, icc_profile=None)


def _suits_rotate(step: Step) -> bool:
    return step.parameters["order"] == 1 and step.parameters["mode"] in ROTATED_MODES


@dataclass(frozen=True)
class _Kernel:
    """``mixes``: results are of several pixels' colours, so that clipping them before or after is not the same."""

    run: Callable[[Planes, Mapping[str, Scalar]], Planes]
    suits: Callable[[Step], bool] = lambda _: True
    mixes: bool = False


_KERNELS = {
    "flip": _Kernel(_flip),
    "rotate": _Kernel(_rotate, _suits_rotate, mixes=True),
    "blur": _Kernel(_blur, mixes=True),
    "strip_metadata": _Kernel(_strip_metadata),
}
