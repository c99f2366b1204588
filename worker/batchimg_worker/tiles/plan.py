"""What a recipe takes of a huge image, and whether it can be done: known before a pixel is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchimg_worker.apply import check_memory
from batchimg_worker.codec import DecodeLimits, Header, encode_bytes, written_format
from batchimg_worker.contract import Band, Tiles
from batchimg_worker.encoding import check_sides
from batchimg_worker.errors import DecodeError, EncodeError, ImageTooLarge, TilingRefused
from batchimg_worker.header import UPRIGHT_SIDES
from batchimg_worker.operations import Region, Shape
from batchimg_worker.operations.regions import whole
from batchimg_worker.recipe import Output, Recipe, Variant
from batchimg_worker.tiles.chain import WORKERS, Stage, blocks_of, held, stages_of
from batchimg_worker.tiles.extent import extent_of, window_of
from batchimg_worker.tiles.original import Look

MIB = 1 << 20
STRIP_ROWS = 256
"""Rows of a strip: a multiple of what the writers need."""

WORKING_BYTES = 224 * MIB
"""What all that is computed side by side should hold together; more where a wide halo needs it."""

SMALL_BYTES = 16 * MIB
"""A result up to this size is put together in memory, and can have any format."""

STRIP_COPIES = 2
"""A strip, and what it is converted to or its compressed bytes."""

LARGEST_STRIP = 2048
UNEVEN = 1.25
STRIPS_A_BAND = 4
"""Where the longest band would have `UNEVEN` times its share of rows, strips get so small that each has some."""

WHOLE = Band(number=0, of=1)
SMALLEST_BLOCK = 64
ROW_COST, BLOCK_COST = 2_000, 200_000
"""What reading another row, or another block, costs, in bytes that could be copied meanwhile."""

WINDOW_BYTES = 96 * MIB
"""A larger window of rows is a file on disk."""

WRITTEN = ("jpeg", "png", "tiff")
MEASURED = ("size",)
PYRAMID_SHARE = 3


@dataclass(frozen=True)
class Layout:
    """How a result is made: strips of so many rows, each in blocks of height and width."""

    strip: int
    block: tuple[int, int]
    held: int


@dataclass(frozen=True)
class Result:
    """One file of a variant: its stages, its format, and how it is made; ``small`` if it is put together in memory.

    Of a band only the strips that are its share are made.
    """

    variant: str
    output: Output
    format: str
    stages: tuple[Stage, ...]
    shape: Shape
    value_bytes: int
    layout: Layout
    small: bool
    band: Band = WHOLE

    @property
    def every_strip(self) -> int:
        """How many there are, of all bands."""
        return -(-self.shape[0] // self.layout.strip)

    def strips(self) -> list[Region]:
        """From top to bottom."""
        share = self.band.share(self.every_strip)
        every = blocks_of(whole(self.shape), (self.layout.strip, self.shape[1]))
        return every[share.start : share.stop]

    @property
    def surveyed(self) -> bool:
        """Whether a step makes a first pass over its whole input."""
        return bool(self.counted())

    def needed(self) -> list[Region]:
        """The region of the original that each strip is made of."""
        return [held(self.stages, strip)[1] for strip in self.strips()]

    def counted(self) -> list[Region]:
        """The regions of the original that first passes look at."""
        return [
            held(self.stages[:number], whole(stage.before))[1]
            for number, stage in enumerate(self.stages)
            if stage.tiling.survey and stage.tiling.survey(stage.parameters)
        ]

    @property
    def bytes(self) -> int:
        """The size of its pixels."""
        return self.shape[0] * self.shape[1] * self.shape[2] * self.value_bytes


@dataclass(frozen=True)
class TilePlan:
    """Every result of one image. ``held`` is the memory and ``disk`` the space on disk that it takes."""

    shape: Shape
    value_bytes: int
    results: tuple[Result, ...]
    held: int
    disk: int
    window: int
    """So many rows of the original are enough at a time, read once from top to bottom; 0 where it needs a file."""

    extent: Region
    """What is read of the original, as it is stored."""


def wants_tiles(header: Header, recipe: Recipe, limits: DecodeLimits, tiles: Tiles) -> bool:
    """Whether this image goes the tiled way: where it is forced, or where the whole image would not fit."""
    if tiles == "off":
        return False
    if tiles != "auto":
        return True
    try:
        check_memory(header, recipe, replace(limits, max_megapixels=float("inf")))
    except ImageTooLarge:
        return True
    return False


def make_plan(seen: Look, recipe: Recipe, limits: DecodeLimits, tiles: Tiles, band: Band = WHOLE) -> TilePlan:
    """Plan one image, or a band of its results.

    Raises ImageTooLarge, DecodeError, OperationFailed or EncodeError with what to do.
    """
    header = seen.header
    _check_size(header, limits)
    if seen.refusal:
        raise DecodeError(f"{_name(header)} would have to be read in parts: {seen.refusal}", "Or raise memory_mb.")
    _check_measures(recipe)
    _check_frames(header, recipe)
    sides = (header.height, header.width)
    shape = (*(sides if header.orientation in UPRIGHT_SIDES else sides[::-1]), header.channels)
    room = limits.memory_bytes
    results = tuple(
        _result(variant, output, _Original(shape, seen.value_bytes, header.format), _How(room, tiles, band))
        for variant in recipe.variants
        for output in recipe.outputs_of(variant.name)
    )
    window = window_of(results, header.orientation)
    extent = extent_of(results, seen, band)
    row = extent.width * shape[2] * seen.value_bytes
    window_bytes = window * row
    window = window if window_bytes <= WINDOW_BYTES else 0
    most = max([seen.held, *(result.layout.held for result in results)]) + (window_bytes if window else 0)
    if most > room:
        raise ImageTooLarge(
            f"{_name(header)} and this recipe need {most / MIB:,.0f} MB of memory even in tiles, {limits.room}",
            "Raise memory_mb, use fewer slots a node, or write the original as a tiled TIFF.",
        )
    stored = 0 if window else extent.height * row
    disk = stored + max((result.bytes + result.bytes // PYRAMID_SHARE for result in results), default=0)
    return TilePlan(shape, seen.value_bytes, results, most, disk, window, extent)


def check_disk(plan: TilePlan, folder: Path) -> None:
    """Raise ImageTooLarge where the folder's disk has not the space."""
    free = shutil.disk_usage(folder).free
    if plan.disk > free:
        raise ImageTooLarge(
            f"{plan.shape[1]}x{plan.shape[0]} in tiles needs {plan.disk / MIB:,.0f} MB of disk in {folder}, "
            f"{free / MIB:,.0f} MB are free",
            "Use a node with a larger disk, or set TMPDIR to one.",
        )


def _name(header: Header) -> str:
    return f"{header.width}x{header.height} ({header.megapixels:,.1f} megapixels)"


def _check_size(header: Header, limits: DecodeLimits) -> None:
    if header.megapixels > limits.max_megapixels:
        raise ImageTooLarge(
            f"{_name(header)} is over the limit of {limits.max_megapixels:g} megapixels",
            "Raise max_megapixels; in tiles the memory does not grow with the image.",
        )


def _check_measures(recipe: Recipe) -> None:
    for entry in recipe.measures:
        if entry.measure not in MEASURED:
            raise TilingRefused(
                f"measure {entry.measure} cannot be tiled: it looks at the whole image at once",
                f"Remove it from `measures` (only {', '.join(MEASURED)} can), or raise memory_mb.",
            )


def _check_frames(header: Header, recipe: Recipe) -> None:
    if recipe.frames == "all" and header.frames > 1:
        raise TilingRefused(
            f"{_name(header)} has {header.frames:,} {header.frames_word}, and only the first can be done in tiles",
            "Remove `frames: all` to take the first alone, or raise memory_mb.",
        )


@dataclass(frozen=True)
class _Original:
    shape: Shape
    value_bytes: int
    format: str


@dataclass(frozen=True)
class _How:
    """The memory there is, the tiles that are wanted, and which band of the results."""

    room: int
    tiles: Tiles
    band: Band


def _result(variant: Variant, output: Output, original: _Original, how: _How) -> Result:
    room, tiles = how.room, how.tiles
    stages = stages_of(variant.name, variant.steps, original.shape, original.value_bytes)
    shape, value_bytes = original.shape, original.value_bytes
    if stages:
        shape, value_bytes = stages[-1].after, stages[-1].after_bytes
    written = written_format(original.format, output.format)
    size = shape[0] * shape[1] * shape[2] * value_bytes
    writing = size + 2 * encode_bytes(shape[0] * shape[1], size, written)
    may_be_small = tiles in ("auto", "off") or (tiles == "always" and written not in WRITTEN)
    small = size <= SMALL_BYTES and may_be_small and writing <= room
    if not small and written not in WRITTEN:
        raise EncodeError(
            f"variant {variant.name}: {written} cannot be written in tiles",
            f"Use `format: {', '.join(WRITTEN)}`, or make the image smaller before.",
        )
    try:
        check_sides(shape[0], shape[1], written)
    except EncodeError as error:
        raise EncodeError(f"variant {variant.name}: {error.message}", error.hint) from None
    deepest = max(value_bytes, (output.bits or 0) // 8)
    chosen = _layout(stages, shape, deepest, how)
    if small:
        chosen = replace(chosen, held=chosen.held + writing)
    return Result(variant.name, output, written, stages, shape, value_bytes, chosen, small, how.band)


def _layout(stages: Sequence[Stage], shape: Shape, value_bytes: int, how: _How) -> Layout:
    """The strips and blocks that copy the least, of those in `WORKING_BYTES` or little above the least."""
    if isinstance(how.tiles, int):
        return _sized(stages, shape, value_bytes, (STRIP_ROWS, (how.tiles, how.tiles)))[0]
    usual = _chosen(stages, shape, value_bytes, how.room)
    bands = how.band.of
    longest = -(-shape[0] // (usual.strip * bands)) * usual.strip
    if bands == 1 or longest * bands <= UNEVEN * shape[0]:
        return usual
    return _chosen(stages, shape, value_bytes, how.room, shape[0] // (bands * STRIPS_A_BAND))


def _chosen(stages: Sequence[Stage], shape: Shape, value_bytes: int, room: int, longest: int = LARGEST_STRIP) -> Layout:
    """As `_layout`, of strips of so many rows at most."""
    options = [_sized(stages, shape, value_bytes, option) for option in _options(shape, longest)]
    least = min(option[0].held for option in options)
    most = max(least, min(room, max(WORKING_BYTES, least + least // 2)))
    return min((option for option in options if option[0].held <= most), key=lambda option: option[1])[0]


def _options(shape: Shape, longest: int) -> Iterator[tuple[int, tuple[int, int]]]:
    strip = STRIP_ROWS
    while strip == STRIP_ROWS or (strip <= longest and strip < 2 * shape[0]):
        height = strip
        while height >= SMALLEST_BLOCK:
            width = shape[1]
            while True:
                yield strip, (height, width)
                if width <= SMALLEST_BLOCK:
                    break
                width = (width + 1) // 2
            height //= 2
        strip *= 2


def _sized(
    stages: Sequence[Stage], shape: Shape, value_bytes: int, option: tuple[int, tuple[int, int]]
) -> tuple[Layout, float]:
    """The layout with its memory, and what it copies for a pixel of the result, going by a block in the middle."""
    strip, block = option
    height, width = min(block[0], strip, shape[0]), min(block[1], shape[1])
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    wanted = Region(top, top + height, left, left + width)
    size, needed = held(stages, wanted)
    copied = BLOCK_COST + needed.height * (ROW_COST + needed.width * shape[2])
    rows = min(strip, shape[0])
    total = WORKERS * size + (WORKERS + 1) * STRIP_COPIES * rows * shape[1] * shape[2] * value_bytes
    return Layout(strip, (height, width), total), copied / (height * width)
