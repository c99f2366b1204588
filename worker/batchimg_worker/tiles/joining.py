"""Joins the bands of a huge image that several tasks have made: bytes are copied, nothing is encoded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from batchimg_worker.apply import EncodedVariant, Measured, StageTimes, encoded_variant
from batchimg_worker.codec import Picture
from batchimg_worker.contract import BandHeader, ImageResult, Output
from batchimg_worker.errors import InputError
from batchimg_worker.recipe import Output as Wanted
from batchimg_worker.recipe import Recipe
from batchimg_worker.tiles.files import described, room_on_disk
from batchimg_worker.tiles.pieces import pixels_of, profile_bytes, read_header, read_pieces
from batchimg_worker.tiles.store import TYPES
from batchimg_worker.tiles.tiff import writer_of
from batchimg_worker.tiles.writers import Piece, frame_of

BYTE_BITS = 8


class Joined:
    """One image made of its bands, an `apply.Work`; ``outputs`` can be read once.

    ``bands`` are their records, from top to bottom, all of them done. ``fetch`` brings a band's file into a folder; it
    is deleted when it has been read. One band is on disk at a time, beside the result.
    """

    def __init__(
        self, bands: Sequence[ImageResult], recipe: Recipe, fetch: Callable[[Output], Path], folder: Path
    ) -> None:
        self._bands, self._recipe, self._fetch, self._folder = bands, recipe, fetch, folder
        self.width, self.height = bands[0].width or 0, bands[0].height or 0
        self.notes = (*bands[0].notes, f"joined from {len(bands)} bands")
        self.measures: Measured = bands[0].measures  # type: ignore[assignment] # what `size` gives, as a tiled image does
        self.seconds = StageTimes(
            decode=sum(band.seconds.decode for band in bands), compute=sum(band.seconds.compute for band in bands)
        )
        self.outputs = self._outputs()

    def _outputs(self) -> Iterator[EncodedVariant]:
        wanted = [(one.name, output) for one in self._recipe.variants for output in self._recipe.outputs_of(one.name)]
        for number, (variant, output) in enumerate(wanted):
            started = time.perf_counter()
            with room_on_disk(self._folder):
                made = self._joined(number, variant, output)
            spent = time.perf_counter() - started
            self.seconds = StageTimes(self.seconds.decode, self.seconds.compute, self.seconds.encode + spent)
            yield made
            del made

    def _joined(self, number: int, variant: str, output: Wanted) -> EncodedVariant:
        bands = _Files([band.outputs[number] for band in self._bands], self._fetch)
        header = bands.header
        profile = profile_bytes(header.icc_profile)
        if header.pixels:
            array = pixels_of(bands.pieces(), header)
            picture = Picture(array, header.format, BYTE_BITS * header.value_bytes, profile)
            return encoded_variant(variant, picture, output)
        channels = header.channels
        pixel = np.zeros((1, 1, *([channels] if channels > 1 else [])), TYPES[header.value_bytes])
        frame = frame_of((header.height, header.width, channels), pixel, profile, output)
        target = self._folder / f"joined-{number:03d}"
        writer_of(header.format, frame, self._folder if output.pyramid else None).save(target, bands.pieces())
        file = described(target, header.format, header.notes)
        return EncodedVariant(variant, file, header.width, header.height, output)


class _Files:
    """The bands of one result, fetched one after the other."""

    def __init__(self, outputs: Sequence[Output], fetch: Callable[[Output], Path]) -> None:
        self._outputs, self._fetch = outputs, fetch
        self._first: Path | None = fetch(outputs[0])
        with self._first.open("rb") as file:
            self.header = read_header(file)

    def pieces(self) -> Iterator[Piece]:
        """All of them, from top to bottom. Raises InputError where the bands do not make up one image."""
        bottom = 0
        for number, output in enumerate(self._outputs):
            path = self._first or self._fetch(output)
            self._first = None
            try:
                with path.open("rb") as file:
                    header = read_header(file)
                    self._check(header, number, bottom)
                    yield from read_pieces(file, header)
            finally:
                path.unlink()
            bottom = max(bottom, header.rows[1])
        if bottom != self.header.height:
            raise InputError(f"the bands end at row {bottom} of {self.header.height}", AGAIN)

    def _check(self, header: BandHeader, number: int, bottom: int) -> None:
        of_all = self.header.model_copy(update={"rows": header.rows})
        follows = header.rows[0] == bottom or header.rows == (0, 0)
        if header != of_all or not follows:
            raise InputError(f"band {number + 1} of {len(self._outputs)} does not fit to the one before", AGAIN)


AGAIN = "Run one version of batchimg on all nodes, and do the image again: batchimg retry."
