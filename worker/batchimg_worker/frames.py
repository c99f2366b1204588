"""Every frame of an animation, every page of a TIFF: for recipes with `frames: all`.

One frame is held at a time, and what has been written of files that hold several. An animation stays one where the
output's format can hold it (PNG, WebP), and so do the pages of a TIFF in a TIFF; otherwise, and wherever a name has
`{frame}` or a TIFF gets a pyramid, each frame becomes a file.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as PillowImage

from batchimg_worker import decoding, directories
from batchimg_worker.animation import HOW, Sequence, sequence
from batchimg_worker.apply import (
    EncodedVariant,
    StageTimes,
    VariantOutput,
    apply_recipe,
    check_memory,
    encoded_variant,
    measure,
    peak_bytes,
)
from batchimg_worker.codec import DecodeLimits, Encoded, Header, Picture, finished, opened, written_format
from batchimg_worker.contract import TRUNCATED
from batchimg_worker.errors import DecodeError, EncodeError, ImageError, ImageTooLarge
from batchimg_worker.gif import with_every_frame
from batchimg_worker.header import inspect_page, is_preview, page_of, tiff_file, unreadable
from batchimg_worker.metadata import harmless
from batchimg_worker.operations import MEASURES
from batchimg_worker.quiet import quiet
from batchimg_worker.recipe import Output, Recipe

MOST_FRAMES = 10_000
OPAQUE = 255
GREY = ("1", "L", "LA", "I", "I;16", "I;16B")
ANIMATED = ("png", "webp")
BYTE_BITS = 8


def has_several(data: bytes, limits: DecodeLimits) -> bool:
    """Whether a file has more than one frame. False for what cannot be read: that is told elsewhere."""
    try:
        return opened(data, limits)[1].frames > 1
    except ImageError:
        return False


@dataclass(frozen=True)
class Frame:
    """One frame, counted from 1, and for how long it is shown; 0 for pages."""

    number: int
    picture: Picture
    milliseconds: int = 0


class Source:
    """A file of several frames, read one by one. ``plays`` is how often an animation is played, 0 for ever."""

    def __init__(self, data: bytes, recipe: Recipe, limits: DecodeLimits) -> None:
        """Raises DecodeError, and ImageTooLarge for too many frames, or for frames that are too large."""
        self.data, self.header, self.notes = opened(data, limits)
        self.plays = 0
        self._recipe, self._limits = recipe, limits
        self._word = self.header.frames_word
        if self.header.frames > MOST_FRAMES:
            raise ImageTooLarge(
                f"has {self.header.frames:,} {self._word}, the limit is {MOST_FRAMES:,}",
                "Remove `frames: all` to take the first alone.",
            )
        if self.header.format == "gif":
            self.header = with_every_frame(self.header, data)
        check_memory(self.header, recipe, limits)
        self.notes += (f"all of {self.header.frames} {self._word}",)
        if self.header.bits > BYTE_BITS and self.is_animation:
            self.notes += (f"{self.header.bits} bits read as 8, as frames of an animation",)

    @property
    def is_animation(self) -> bool:
        """Whether its frames are shown one after the other; otherwise they are pages."""
        return self.header.format != "tiff"

    def frames(self) -> Iterator[Frame]:
        """Each frame, upright. Raises DecodeError and ImageTooLarge."""
        return self._animation() if self.is_animation else self._pages()

    def _pages(self) -> Iterator[Frame]:
        directories.check_every(io.BytesIO(self.data))
        with _told(self.data), tiff_file(self.data) as file:
            # by number: where the last page is followed by an earlier one, tifffile's own loop never ends
            numbers = [one for one in range(self.header.frames) if one == 0 or not is_preview(page_of(file, one))]
        for number in numbers:
            try:
                header = inspect_page(self.data, number) if number else self.header
                check_memory(header, self._recipe, self._limits)
                with _told(self.data, f"page {number + 1}: "):
                    pixels = decoding.read(self.data, header, number)
            except DecodeError as error:
                if not (error.truncated and self._limits.allow_truncated and number):
                    raise
                self.notes += (f"{TRUNCATED}what is missing are the pages from {number + 1} on",)
                return
            yield Frame(number + 1, self._finished(pixels, header))

    def _animation(self) -> Iterator[Frame]:
        with PillowImage.open(io.BytesIO(self.data)) as image:
            first = 1 if getattr(image, "default_image", False) else 0
            numbers = range(first, self.header.frames)
            with _told(self.data):
                mode = _common_mode(image, numbers)
            self.plays = int(image.info.get("loop", 1))
            for number in numbers:
                with _told(self.data, f"frame {number - first + 1}: "):
                    pixels = self._current(image, number, mode)
                if pixels is None:
                    self.notes += (f"{TRUNCATED}what is missing are the frames from {number - first + 1} on",)
                    return
                shown = int(image.info.get("duration", 0))
                yield Frame(number - first + 1, self._finished(pixels, self.header), shown)

    def _current(self, image: PillowImage.Image, number: int, mode: str) -> decoding.Pixels | None:
        """A frame; None for one that is not whole, where that is allowed. The first is taken as far as it goes."""
        try:
            image.seek(number)
            if number == 0 and self._limits.allow_truncated:
                if not decoding.load_what_is_there(image):
                    self.notes += (f"{TRUNCATED}the rest of its first frame is missing",)
            else:
                image.load()
        except (OSError, EOFError):
            if self._limits.allow_truncated and number > 0:
                return None
            raise
        return decoding.Pixels(np.array(image.convert(mode)), image.info.get("icc_profile"))

    def _finished(self, pixels: decoding.Pixels, header: Header) -> Picture:
        """Upright, in the colours that are wanted; notes are kept once."""
        picture = finished(pixels, header, self._recipe.profile, {})
        self.notes += tuple(note for note in picture.notes if note not in self.notes)
        return picture


def _common_mode(image: PillowImage.Image, numbers: range) -> str:
    """One mode for all frames, so that they fit into one file: alpha only where a frame needs it."""
    grey, alpha = True, False
    for number in numbers:
        try:
            image.seek(number)
            image.load()
        except (OSError, EOFError):
            break  # told, or allowed, when it is read
        grey = grey and image.mode in GREY
        if not alpha and image.has_transparency_data:
            alpha = image.convert("RGBA").getchannel("A").getextrema()[0] != OPAQUE
    return ("LA" if alpha else "L") if grey else ("RGBA" if alpha else "RGB")


@contextmanager
def _told(data: bytes, where: str = "") -> Iterator[None]:
    """Turn whatever a library raises into DecodeError."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except Exception as error:
        told = unreadable(data, error)
        raise DecodeError(told.message if told.truncated else where + told.message, told.hint) from error


class ProcessedFrames:
    """An image of several frames on its way through a recipe; as `Processed`, which is one of one frame.

    Measures, width and height are those of the first frame.
    """

    def __init__(self, data: bytes, recipe: Recipe, limits: DecodeLimits) -> None:
        """Decode the first frame and measure it. Raises DecodeError, ImageTooLarge and OperationFailed."""
        started = time.perf_counter()
        self._source = Source(data, recipe, limits)
        self._recipe = recipe
        frames = self._source.frames()
        first = next(frames, None)
        if first is None:
            raise DecodeError("damaged: none of its frames can be read", "Copy the file again.")
        decoded = time.perf_counter()
        self.height: int = first.picture.array.shape[0]
        self.width: int = first.picture.array.shape[1]
        wants = any(MEASURES.get(entry.measure).reads == "metadata" for entry in recipe.measures)
        self.measures = measure(replace(first.picture, metadata=harmless(data) if wants else {}), recipe)
        self.seconds = StageTimes(decode=decoded - started, compute=time.perf_counter() - decoded)
        self._room = (limits.memory_bytes - peak_bytes(self._source.header, recipe)) // 2
        self.outputs: Iterator[EncodedVariant] = self._outputs(first, frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided so far."""
        return self._source.notes

    def _outputs(self, first: Frame, frames: Iterator[Frame]) -> Iterator[EncodedVariant]:
        together = _Together(self._source, self._room)
        frame: Frame | None = first
        del first
        while frame is not None:
            for result in self._results(frame):
                for number, output in enumerate(self._recipe.outputs_of(result.variant)):
                    started = time.perf_counter()
                    written = together.take(result, (number, output), frame)
                    self._spent(encode=time.perf_counter() - started)
                    if written is not None:
                        yield written
            started = time.perf_counter()
            frame = next(frames, None)
            self._spent(decode=time.perf_counter() - started)
        yield from together.finished()

    def _results(self, frame: Frame) -> Iterator[VariantOutput]:
        results = apply_recipe(frame.picture, self._recipe)
        while True:
            started = time.perf_counter()
            result = next(results, None)
            self._spent(compute=time.perf_counter() - started)
            if result is None:
                return
            yield result

    def _spent(self, *, decode: float = 0.0, compute: float = 0.0, encode: float = 0.0) -> None:
        so_far = self.seconds
        self.seconds = StageTimes(so_far.decode + decode, so_far.compute + compute, so_far.encode + encode)


class _Together:
    """The files that get several frames, by variant and number of its output."""

    def __init__(self, source: Source, room: int) -> None:
        """``room`` is how many bytes of them may be held."""
        self._source, self._room = source, room
        self._files: dict[tuple[str, int], tuple[Sequence, EncodedVariant]] = {}

    def take(self, result: VariantOutput, which: tuple[int, Output], frame: Frame) -> EncodedVariant | None:
        """A frame as a file of its own; None where it was put behind the others. Raises EncodeError."""
        number, output = which
        written = written_format(result.picture.format, output.format)
        if not self._is_held(written, output):
            return replace(encoded_variant(result.variant, result.picture, output), frame=frame.number)
        key = (result.variant, number)
        if key not in self._files:
            height, width = result.picture.array.shape[:2]
            like = EncodedVariant(result.variant, Encoded(b"", written), width, height, output)
            self._files[key] = (sequence(written, output), like)
        try:
            self._files[key][0].add(result.picture, frame.milliseconds)
        except EncodeError as error:
            raise EncodeError(f"variant {result.variant}: {error.message}", error.hint) from error
        if sum(file.size for file, _ in self._files.values()) > self._room:
            raise ImageTooLarge(
                f"{frame.number:,} of its {self._source.header.frames:,} frames fill the memory that there is for them",
                f"Raise memory_mb, or {HOW[0].lower()}{HOW[1:]}",
            )
        return None

    def finished(self) -> Iterator[EncodedVariant]:
        """The files, each whole."""
        while self._files:
            key = next(iter(self._files))
            file, like = self._files.pop(key)
            yield replace(like, encoded=file.finish(self._source.plays))

    def _is_held(self, written: str, output: Output) -> bool:
        """Whether a file of this format gets every frame."""
        if output.pyramid or (output.name is not None and "{frame}" in output.name):
            return False
        return written == "tiff" or (written in ANIMATED and self._source.is_animation)
