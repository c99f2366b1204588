"""Split: which huge images go over several tasks, each a band of rows, and a last one that joins them.

The chunks of a split image come after those of all other images: one for each band, then the one that joins.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from batchimg.chunk import Cut, split
from batchimg.dataset import Dataset
from batchimg.errors import SettingsError
from batchimg.parallel import in_parallel
from batchimg_worker.blob_names import manifest_path
from batchimg_worker.contract import Band, ImageEntry, Limits, RunSpec, Source
from batchimg_worker.documents import parse_lines
from batchimg_worker.errors import EncodeError, ImageError, RecipeError, TilingRefused
from batchimg_worker.ranged import open_blob
from batchimg_worker.recipe import Recipe
from batchimg_worker.storage import Container

if TYPE_CHECKING:
    from batchimg_worker.tiles.original import Look

LOOKED_AT = 8 << 20
"""Bytes of a file from which its header is read, unless all images are done in tiles."""

LOOKS_AT_ONCE = 8
HEAD_BYTES = 1 << 20
"""What is fetched of a blob to find its header, where that is at its beginning."""


@dataclass(frozen=True, slots=True)
class SplitImage:
    """An image of a plan's dataset that goes over several tasks; ``first`` is the chunk of its first band."""

    index: int
    bands: int
    first: int

    @property
    def join(self) -> int:
        """The chunk whose task joins the bands."""
        return self.first + self.bands

    def entry(self, whole: ImageEntry, chunk: int) -> ImageEntry:
        """What one of its chunks has to do; ``whole`` is the image as it would be done at once."""
        if chunk == self.join:
            return whole.model_copy(update={"joins": tuple(range(self.first, self.join))})
        return whole.model_copy(update={"band": Band(number=chunk - self.first, of=self.bands)})


def cut_apart(dataset: Dataset, cut: Cut) -> tuple[list[range], tuple[SplitImage, ...]]:
    """A dataset as chunks of whole images, ranges that may have split images in them, and the split ones."""
    apart = dict(_split_indexes(dataset))
    sizes = dataset.sizes[:]
    for index in apart:
        sizes[index] = 0
    chunks = [
        one for one in split(sizes, cut.images, cut.factor) if not apart or any(index not in apart for index in one)
    ]
    first, images = len(chunks), []
    for index, bands in apart.items():
        images.append(SplitImage(index, bands, first))
        first += bands + 1
    return chunks, tuple(images)


def _split_indexes(dataset: Dataset) -> Iterator[tuple[int, int]]:
    for path in sorted(dataset.bands):
        index = bisect_left(dataset.paths, path)
        if index < len(dataset.paths) and dataset.paths[index] == path:
            yield index, dataset.bands[path]


def with_bands(dataset: Dataset, recipe: Recipe, limits: Limits, blobs: tuple[Container, Source] | None) -> Dataset:
    """Note in a dataset which of its images are split: those that are done in tiles, by their headers.

    ``blobs`` is where they lie if not in a folder. An image gets no more bands than it has strips. Raises RecipeError
    where a step cannot be done in tiles, SettingsError where there are to be none; what is wrong with an image itself
    becomes a record of the run, as for any other.
    """
    if limits.split is None:
        return dataset
    if limits.tiles == "off":
        raise SettingsError("--split needs tiles, and tiles are off", "Leave out --split, or use --tiles auto.")
    look = header_reader(dataset, blobs)

    def bands_of(index: int) -> tuple[str, int]:
        path = dataset.paths[index]
        try:
            return path, bands_of_image(look(index), recipe, limits)
        except (TilingRefused, EncodeError) as error:
            raise RecipeError(f"{path} cannot be split: {error.message}", error.hint) from None
        except (ImageError, OSError):
            return path, 0

    every = limits.tiles is not None
    wanted = [index for index, size in enumerate(dataset.sizes) if every or size >= LOOKED_AT]
    found = in_parallel(bands_of, wanted, LOOKS_AT_ONCE)
    return replace(dataset, bands={path: bands for path, bands in found if bands > 1})


def bands_of_image(seen: Look, recipe: Recipe, limits: Limits) -> int:
    """Over how many tasks an image goes: 1 where it is not done in tiles. Raises ImageError where it cannot be."""
    from batchimg_worker.memory import image_limits
    from batchimg_worker.tiles.plan import make_plan, wants_tiles

    tiles, room, wanted = limits.tiles or "auto", image_limits(limits), limits.split or 1
    if not wants_tiles(seen.header, recipe, room, tiles):
        return 1
    plan = make_plan(seen, recipe, room, tiles, Band(number=0, of=wanted))
    return min(wanted, max((result.every_strip for result in plan.results), default=1))


def header_reader(dataset: Dataset, blobs: tuple[Container, Source] | None) -> Callable[[int], Look]:
    """Reads the header of the image with an index: of a file, or of a blob by ranges. Raises ImageError, OSError."""
    from batchimg_worker.tiles.original import look, look_at

    if blobs is None:
        root = dataset.root or Path()
        return lambda index: look(root / dataset.paths[index])
    container, source = blobs

    def of_blob(index: int) -> Look:
        with open_blob(container, source.prefix + dataset.paths[index], dataset.sizes[index]) as file:
            return look_at(file, dataset.sizes[index], HEAD_BYTES)

    return of_blob


def joins_of(runs: Container, spec: RunSpec, chunks: list[int], threads: int) -> dict[int, tuple[int, ...]]:
    """The chunks that join bands, and those that make them, by the manifests."""

    def of_chunk(chunk: int) -> tuple[int, tuple[int, ...]]:
        path = manifest_path(spec.run, chunk)
        lines = islice(runs.read_lines(path), 1, 2)
        entry = next(parse_lines(ImageEntry, lines, path), None)
        return chunk, (entry.joins or ()) if entry else ()

    if spec.limits.split is None:
        return {}
    return {chunk: bands for chunk, bands in in_parallel(of_chunk, chunks, threads) if bands}


def bands_before(runs: Container, chunks: Mapping[tuple[str, int], list[str]], threads: int) -> dict[str, int]:
    """Over how many tasks images went before, by the manifests of ``chunks`` (their runs, and the images' paths)."""

    def of_chunk(chunk: tuple[str, int]) -> list[tuple[str, int]]:
        path = manifest_path(*chunk)
        lines = runs.read(path).splitlines()[1:]
        wanted = set(chunks[chunk])
        entries = parse_lines(ImageEntry, iter(lines), path)
        return [(entry.path, len(entry.joins)) for entry in entries if entry.joins and entry.path in wanted]

    return {path: bands for found in in_parallel(of_chunk, chunks, threads) for path, bands in found}
