"""One image through a recipe, in tiles where it has to be: the same as `apply.process`, from a file on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from batchimg_worker import profiles
from batchimg_worker.apply import EncodedVariant, Measured, StageTimes, Work, encoded_variant, process
from batchimg_worker.codec import DecodeLimits, Picture, prepared
from batchimg_worker.contract import Tiles
from batchimg_worker.encoding import CHROMA
from batchimg_worker.errors import EncodeError, ImageTooLarge
from batchimg_worker.operations import MEASURES, Region
from batchimg_worker.operations.arrays import Image
from batchimg_worker.recipe import Recipe
from batchimg_worker.tiles.chain import WORKERS, blocks_of, chained, in_order
from batchimg_worker.tiles.files import LARGE_BYTES, described, room_on_disk
from batchimg_worker.tiles.original import Look, decode, look
from batchimg_worker.tiles.plan import Result, check_disk, make_plan, wants_tiles
from batchimg_worker.tiles.store import TYPES, Source, Upright
from batchimg_worker.tiles.tiff import TiffWriter, stores_in
from batchimg_worker.tiles.writers import Frame, JpegWriter, PngWriter, Writer

WHOLE_FIRST = ("auto", "off")

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """What one image may take, when it is done in tiles, and the folder for its files."""

    limits: DecodeLimits
    tiles: Tiles
    folder: Path


def process_any(content: bytes | Path, recipe: Recipe, room: Room) -> Work:
    """As `process_file`, for a file's bytes, or for a path whose file is deleted as soon as it has been read."""
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


class Tiled:
    """One image on its way through a recipe, an `apply.Work`; ``outputs`` can be read once.

    Each file that it gives belongs to whoever asked for it; what lies in the folder beside is gone at the end.
    """

    def __init__(self, path: Path, seen: Look, recipe: Recipe, room: Room) -> None:
        """Plan, and read the original into its store. Raises ImageError."""
        started = time.perf_counter()
        self._plan = make_plan(seen, recipe, room.limits, room.tiles)
        check_disk(self._plan, room.folder)
        self._folder = Path(tempfile.mkdtemp(dir=room.folder))
        self._recipe, self._format = recipe, seen.header.format
        decoded = decode(path, seen, self._plan.window or self._folder / "original.raw")
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
        first = profiles.to_srgb(self._original.read(Region(0, 1, 0, 1)), profile)
        if first is None:
            return "ICC profile kept: it cannot be converted to sRGB"
        self._original, self._profile = _InSrgb(self._original, profile), None
        return first[1]

    def _size(self) -> dict[str, float | str | None]:
        pixel = self._original.read(Region(0, 1, 0, 1))
        empty = np.broadcast_to(pixel, (self.height, self.width, *pixel.shape[2:]))
        return dict(MEASURES.get("size").run(empty, {}))

    def _outputs(self) -> Iterator[EncodedVariant]:
        try:
            for number, result in enumerate(self._plan.results):
                started = time.perf_counter()
                made = _Making(result, self._original, self._profile_of(result), self._folder, self._done_with)
                target = self._folder / f"{number:03d}"
                with room_on_disk(self._folder):
                    variant = made.in_memory(self._format) if result.small else made.to_file(target)
                spent = time.perf_counter() - started
                self.seconds = StageTimes(self.seconds.decode, self.seconds.compute + spent)
                yield variant
                del variant
            self._store.finish()
        finally:
            self._store.remove()
            self.at_end.close()

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


@dataclass(frozen=True)
class _Making:
    """One result: from its stages to a file."""

    result: Result
    original: Source
    profile: bytes | None
    folder: Path
    done_with: Callable[[int], None]
    """Called with the rows at the top of the original that are not needed any more."""

    def in_memory(self, source_format: str) -> EncodedVariant:
        """Put together and encoded as a whole."""
        strips = list(self._computed(lambda strip: strip))
        picture = Picture(np.concatenate(strips), source_format, 8 * self.result.value_bytes, self.profile)
        return encoded_variant(self.result.variant, picture, self.result.output)

    def to_file(self, target: Path) -> EncodedVariant:
        """Strip by strip."""
        result = self.result
        first, profile, notes = self._fitted(self._pixel())
        output = result.output
        sampling = output.subsampling or CHROMA
        frame = Frame(result.shape[0], result.shape[1], first, profile, output.quality, sampling)
        writer = writer_of(result.format, frame, self.folder if output.pyramid else None)
        writer.save(target, self._computed(lambda strip: writer.encode(self._fitted(strip)[0])))
        file = described(target, result.format, notes)
        return EncodedVariant(result.variant, file, result.shape[1], result.shape[0], output)

    def _pixel(self) -> Image:
        """Any pixel that the format can hold, of the result's type and channels."""
        shape = self.result.shape
        return np.zeros((1, 1, *([shape[2]] if shape[2] > 1 else [])), TYPES[self.result.value_bytes])

    def _fitted(self, strip: Image) -> tuple[Image, bytes | None, tuple[str, ...]]:
        """A strip as its format can hold it, the profile that fits, and what was decided."""
        result = self.result
        picture = Picture(strip, result.format, 8 * result.value_bytes, self.profile)
        try:
            return prepared(picture, result.format, result.output.bits)
        except EncodeError as error:
            raise EncodeError(f"variant {result.variant}: {error.message}", error.hint) from error

    def _computed(self, use: Callable[[Image], T]) -> Iterator[T]:
        """Every strip of the result, from top to bottom, after ``use``; some are made side by side."""
        result, layout = self.result, self.result.layout
        tops = [region.top for region in result.needed()]
        self.done_with(tops[0])
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="tiles") as pool:
            source = chained(self.original, result.stages, layout.block, pool)
            made = in_order(pool, lambda strip: use(_read(source, strip, layout.block)), result.strips())
            for number, strip in enumerate(made, start=1):
                if number < len(tops):
                    self.done_with(tops[number])
                yield strip


def writer_of(format: str, frame: Frame, pyramid: Path | None = None) -> Writer:  # noqa: A002 - the recipe's word
    """What writes a format strip by strip; a ``pyramid`` is put together in that folder."""
    if format == "tiff":
        return TiffWriter(frame, stores_in(pyramid) if pyramid else None)
    return JpegWriter(frame) if format == "jpeg" else PngWriter(frame)


def _read(source: Source, strip: Region, block: tuple[int, int]) -> Image:
    """A strip, computed in blocks."""
    blocks = blocks_of(strip, block)
    if len(blocks) == 1:
        return source.read(strip)
    channels = source.shape[2]
    result = np.empty((strip.height, strip.width, *([channels] if channels > 1 else [])), source.dtype)
    for region in blocks:
        result[region.slices(strip)] = source.read(region)
    return result
