"""One result of an image in tiles: from its stages to a file, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from batchimg_worker.apply import EncodedVariant, encoded_variant
from batchimg_worker.codec import Picture, prepared, written_as
from batchimg_worker.contract import BandHeader
from batchimg_worker.errors import EncodeError
from batchimg_worker.operations import Region
from batchimg_worker.operations.arrays import Image
from batchimg_worker.tiles.chain import WORKERS, blocks_of, chained, in_order
from batchimg_worker.tiles.files import described, room_on_disk
from batchimg_worker.tiles.pieces import PixelWriter, profile_text, write_band
from batchimg_worker.tiles.plan import Result
from batchimg_worker.tiles.store import TYPES, Source
from batchimg_worker.tiles.tiff import writer_of
from batchimg_worker.tiles.writers import Frame, Piece, Writer, frame_of

T = TypeVar("T")


@dataclass(frozen=True)
class Making:
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
        frame = frame_of(result.shape, first, profile, result.output)
        writer = writer_of(result.format, frame, self.folder if result.output.pyramid else None)
        writer.save(target, self._computed(lambda strip: self._encoded(writer, strip)))
        file = described(target, result.format, notes)
        return EncodedVariant(result.variant, file, result.shape[1], result.shape[0], result.output)

    def to_band(self, target: Path) -> EncodedVariant:
        """Strip by strip, for `joining.Joined`; its height is that of the band."""
        result, strips = self.result, self.result.strips()
        pixel = self._pixel()
        first, profile, notes = (pixel, self.profile, ()) if result.small else self._fitted(pixel)
        rows = (strips[0].top, strips[-1].bottom) if strips else (0, 0)
        header = BandHeader(
            format=result.format,
            pixels=result.small,
            height=result.shape[0],
            width=result.shape[1],
            channels=first.shape[2] if first.ndim > 2 else 1,
            value_bytes=first.dtype.itemsize,
            rows=rows,
            icc_profile=profile_text(profile),
            notes=notes,
        )
        write_band(target, header, self._pieces(frame_of(result.shape, first, profile, result.output)))
        file = described(target, result.format, ())
        return EncodedVariant(result.variant, file, result.shape[1], rows[1] - rows[0], result.output)

    def _pieces(self, frame: Frame) -> Iterator[Piece]:
        result = self.result
        if result.small:
            return self._computed(PixelWriter().encode)
        writer = writer_of(result.format, frame, self.folder if result.output.pyramid else None)
        return self._computed(lambda strip: self._encoded(writer, strip))

    def _pixel(self) -> Image:
        """Any pixel that the format can hold, of the result's type and channels."""
        shape = self.result.shape
        return np.zeros((1, 1, *([shape[2]] if shape[2] > 1 else [])), TYPES[self.result.value_bytes])

    def _encoded(self, writer: Writer, strip: Image) -> Piece:
        """A strip as its writer makes it. Raises EncodeError, whatever the writer's library raises."""
        result = self.result
        fitted = self._fitted(strip)[0]
        try:
            with written_as(result.format), room_on_disk(self.folder):
                return writer.encode(fitted)
        except EncodeError as error:
            raise EncodeError(f"variant {result.variant}: {error.message}", error.hint) from error

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
        if not tops:
            return
        self.done_with(tops[0])
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="tiles") as pool:
            source = chained(self.original, result.stages, layout.block, pool)
            made = in_order(pool, lambda strip: use(_read(source, strip, layout.block)), result.strips())
            for number, strip in enumerate(made, start=1):
                if number < len(tops):
                    self.done_with(tops[number])
                yield strip


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
