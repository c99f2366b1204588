"""One image through a recipe, in tiles where it has to be: the same as `apply.process`, from a file on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from batchimg_worker import profiles
from batchimg_worker.apply import EncodedVariant, Measured, StageTimes, Work, process
from batchimg_worker.codec import DecodeLimits
from batchimg_worker.contract import Band, Tiles
from batchimg_worker.errors import ImageTooLarge
from batchimg_worker.operations import MEASURES, Region
from batchimg_worker.operations.arrays import Image
from batchimg_worker.parts import Original, Parts
from batchimg_worker.recipe import Recipe
from batchimg_worker.tiles.files import LARGE_BYTES, room_on_disk
from batchimg_worker.tiles.making import Making
from batchimg_worker.tiles.original import Look, decode, look
from batchimg_worker.tiles.plan import WHOLE, Result, check_disk, make_plan, wants_tiles
from batchimg_worker.tiles.store import Source, Upright

WHOLE_FIRST = ("auto", "off")

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """What one image may take, when it is done in tiles, and the folder for its files."""

    limits: DecodeLimits
    tiles: Tiles
    folder: Path


def process_any(content: bytes | Original, recipe: Recipe, room: Room) -> Work:
    """As `process_file`, for a file's bytes, or for a path whose file is deleted as soon as it has been read."""
    if isinstance(content, Parts):
        return _tiled(content, recipe, room)
    if isinstance(content, Path):
        return process_file(content, recipe, room, keep=False)
    if room.tiles in WHOLE_FIRST:
        try:
            return process(content, recipe, room.limits)
        except ImageTooLarge:
            if room.tiles == "off":
                raise
    with tempfile.NamedTemporaryFile(dir=room.folder, delete=False) as file:
        file.write(content)
    return process_file(Path(file.name), recipe, room, keep=False)


def process_file(path: Path, recipe: Recipe, room: Room, *, keep: bool = True) -> Work:
    """Decode and measure now; apply and encode while ``outputs`` is read. Raises ImageError.

    The file has to stay while ``outputs`` is read, and is deleted then unless ``keep``.
    """
    with ExitStack() as on_failure:
        if not keep:
            on_failure.callback(path.unlink)
        if room.tiles in WHOLE_FIRST and path.stat().st_size <= LARGE_BYTES:
            try:
                return process(path.read_bytes(), recipe, room.limits)
            except ImageTooLarge:
                if room.tiles == "off":
                    raise
        seen = look(path)
        if wants_tiles(seen.header, recipe, room.limits, room.tiles):
            tiled = Tiled(path, seen, recipe, room)
            tiled.at_end = on_failure.pop_all()
            return tiled
        return process(path.read_bytes(), recipe, room.limits)


def process_band(content: bytes | Original, recipe: Recipe, room: Room, band: Band) -> Work:
    """As `process_any` in tiles, for some rows of each result: each file that it gives is one for `bands.Joined`."""
    if isinstance(content, bytes):
        with tempfile.NamedTemporaryFile(dir=room.folder, delete=False) as file:
            file.write(content)
        content = Path(file.name)
    return _tiled(content, recipe, room, band)


def _tiled(original: Original, recipe: Recipe, room: Room, band: Band = WHOLE) -> Work:
    """In tiles; the original's file is deleted as soon as it has been read."""
    with ExitStack() as on_failure:
        on_failure.callback(original.unlink)
        tiled = Tiled(original, look(original), recipe, room, band)
        tiled.at_end = on_failure.pop_all()
        return tiled


class Tiled:
    """One image on its way through a recipe, an `apply.Work`; ``outputs`` can be read once.

    Each file that it gives belongs to whoever asked for it; what lies in the folder beside is gone at the end. Of a
    band they are such that `bands.Joined` reads.
    """

    def __init__(self, original: Original, seen: Look, recipe: Recipe, room: Room, band: Band = WHOLE) -> None:
        """Plan, and begin to read the original into its store. Raises ImageError."""
        started = time.perf_counter()
        self._plan = make_plan(seen, recipe, room.limits, room.tiles, band)
        self._band = band
        check_disk(self._plan, room.folder)
        self._folder = Path(tempfile.mkdtemp(dir=room.folder))
        self._recipe, self._format = recipe, seen.header.format
        decoded = decode(original, seen, self._plan.window or self._folder / "original.raw", self._plan.extent)
        self._store, self._profile = decoded.store, decoded.icc_profile
        self._original: Source = decoded.store
        self.height, self.width = self._plan.shape[:2]
        try:
            self.notes = ("in tiles", *self._opened(seen), *decoded.notes)
            self.measures: Measured = {entry.measure: self._size() for entry in recipe.measures}
        except BaseException:
            self._store.remove()
            raise
        self.seconds = StageTimes(decode=time.perf_counter() - started)
        self.at_end = ExitStack()
        self.outputs = self._outputs()

    def _opened(self, seen: Look) -> Iterator[str]:
        header = seen.header
        if header.orientation != 1:
            self._original = Upright(self._original, header.orientation)
            yield f"orientation {header.orientation} applied"
        if header.frames > 1:
            yield f"first of {header.frames} {header.frames_word}"
        if self._recipe.profile == "srgb" and self._profile is not None:
            yield self._converted(self._profile)

    def _converted(self, profile: bytes) -> str:
        first = profiles.to_srgb(self._any_pixel(), profile)
        if first is None:
            return "ICC profile kept: it cannot be converted to sRGB"
        self._original, self._profile = _InSrgb(self._original, profile), None
        return first[1]

    def _any_pixel(self) -> Image:
        """For what depends on type and channels alone; not read, as no row is sure to be wanted."""
        channels = self._original.shape[2]
        return np.zeros((1, 1, *([channels] if channels > 1 else [])), self._original.dtype)

    def _size(self) -> dict[str, float | str | None]:
        pixel = self._any_pixel()
        empty = np.broadcast_to(pixel, (self.height, self.width, *pixel.shape[2:]))
        return dict(MEASURES.get("size").run(empty, {}))

    def _outputs(self) -> Iterator[EncodedVariant]:
        try:
            for number, result in enumerate(self._plan.results):
                started = time.perf_counter()
                made = Making(result, self._original, self._profile_of(result), self._folder, self._done_with)
                target = self._folder / f"{number:03d}"
                with room_on_disk(self._folder):
                    variant = self._made(made, target)
                spent = time.perf_counter() - started
                self.seconds = StageTimes(self.seconds.decode, self.seconds.compute + spent)
                yield variant
                del variant
            self._store.finish()
        finally:
            self._store.remove()
            self.at_end.close()

    def _made(self, made: Making, target: Path) -> EncodedVariant:
        if self._band.of > 1:
            return made.to_band(target)
        return made.in_memory(self._format) if made.result.small else made.to_file(target)

    def _done_with(self, rows: int) -> None:
        if self._plan.window:
            self._store.give_up(rows)

    def _profile_of(self, result: Result) -> bytes | None:
        drops = any(stage.operation.drops_metadata for stage in result.stages)
        return None if drops else self._profile


class _InSrgb:
    def __init__(self, source: Source, profile: bytes) -> None:
        self._source, self._profile = source, profile
        self.shape, self.dtype = source.shape, source.dtype

    def read(self, region: Region) -> Image:
        array = self._source.read(region)
        converted = profiles.to_srgb(array, self._profile)
        return array if converted is None else converted[0]
