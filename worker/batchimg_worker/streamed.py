"""Results of large images that are never whole in memory: their rows are made while their file is written.

Such are the last steps of a recipe that need nothing but rows of the original (`operations.strips`), written once as
TIFF or PNG. The pixels are those of `apply`, and so are the files (docs/reliability.md says what deflate may vary).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import numpy as np
import tifffile

from batchimg_worker import encoding, png, tiff
from batchimg_worker.codec import Picture, written_as, written_format
from batchimg_worker.operations import OPERATIONS, Shape, strips
from batchimg_worker.operations.arrays import Image, Strips
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.pieces import PIECE_BYTES, Pieces
from batchimg_worker.quiet import quiet
from batchimg_worker.recipe import Output, Step
from batchimg_worker.tiles.files import EncodedFile
from batchimg_worker.told import told

LARGE_BYTES = 48 << 20
"""A smaller original is worked on as a whole: little is won."""

PNG_VALUES = (1, 2)
"""Bytes of a value in a PNG; others are converted first."""

DEFLATED = 1.01
"""How much larger than its pixels a file of noise is, at most."""


@dataclass
class Streamed:
    """One step's result that `write` makes; ``place`` names the step in errors.

    ``seconds`` is what its pixels took, without their encoding.
    """

    picture: Picture
    step: Step
    place: str
    seconds: float = field(default=0.0, init=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width, _ = OPERATIONS.get(self.step.operation).output_shape(_shape(self.picture), self.step.parameters)
        return height, width

    def write(self, output: Output) -> EncodedFile:
        """Make and encode it. Raises OperationFailed and EncodeError."""
        array = self.picture.array
        kind = written_format(self.picture.format, output.format)
        encoding.check_sides(*self.size, kind)
        profile, notes = encoding.fitting(self.picture.icc_profile, _shape(self.picture)[2])
        image = Strips((*self.size, *array.shape[2:]), array.dtype, self._timed())
        target = Pieces()
        with written_as(kind), quiet():
            _WRITERS[kind](target, image, profile)
        return EncodedFile(target, kind, len(target), target.md5(), notes)

    def _timed(self) -> Iterator[Image]:
        made = strips.strips(self.step.operation, self.picture.array, self.step.parameters)
        while True:
            began = time.perf_counter()
            with told(self.place):
                strip = next(made, None)
            self.seconds += time.perf_counter() - began
            if strip is None:
                return
            yield strip


def _png(target: Pieces, image: Strips, profile: bytes | None) -> None:
    for part in png.parts(image, profile):
        target.write(part)


def _tiff(target: Pieces, image: Strips, profile: bytes | None) -> None:
    with tifffile.TiffWriter(cast("BinaryIO", target)) as file:
        tiff.write_page(file, image, profile)


_WRITERS = {"png": _png, "tiff": _tiff}


def suits(step: Step, outputs: tuple[Output, ...], shape: Shape, value_bytes: int, source_format: str) -> bool:
    """Whether a step on an original of this shape and type, as it is decoded, can be `Streamed`."""
    if len(outputs) != 1 or np.prod(shape) * value_bytes < LARGE_BYTES:
        return False
    (output,) = outputs
    kind = written_format(source_format, output.format)
    same = output.bits in (None, 8 * value_bytes) and not output.pyramid
    written = kind == "tiff" or (kind == "png" and value_bytes in PNG_VALUES)
    return same and written and strips.can(step.operation, shape, step.parameters)


def held_bytes(result_bytes: int) -> int:
    """What `Streamed.write` holds at most, with the file that it makes."""
    return TEMPORARY_BYTES + int(DEFLATED * result_bytes) + PIECE_BYTES


def _shape(picture: Picture) -> Shape:
    height, width, channels = (*picture.array.shape, 1)[:3]
    return height, width, channels
