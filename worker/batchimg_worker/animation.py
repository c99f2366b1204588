"""Writers of files that hold several pictures: animated PNG and WebP, and TIFF of many pages.

Each takes one picture after the other and keeps what it has become, so that no two pictures are held at once.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

import tifffile

from batchimg_worker import tiff
from batchimg_worker.codec import Encoded, Picture, encode, prepared
from batchimg_worker.errors import EncodeError
from batchimg_worker.header import PNG_SIGNATURE, png_chunks
from batchimg_worker.operations.arrays import strips_of
from batchimg_worker.png import chunk
from batchimg_worker.recipe import Output

LONGEST_DELAY = 65_535
LONGEST_WEBP_DELAY = (1 << 24) - 1
MOST_PLAYS = 65_535
HOW = "Put {frame} into the recipe's `name`: then each frame becomes a file of its own."
ANIMATION, ALPHA, PROFILE = 0x02, 0x10, 0x20
NO_BLENDING = 0x02


class Sequence(Protocol):
    """A file in the making; ``size`` is what is held of it so far, in bytes."""

    size: int

    def add(self, picture: Picture, milliseconds: int) -> None:
        """Put a picture behind the others. Raises EncodeError."""

    def finish(self, plays: int) -> Encoded:
        """The whole file, which is played so often; 0 for ever."""


def sequence(written: str, output: Output) -> Sequence:
    """A file of this format: png, webp or tiff."""
    kinds: dict[str, Callable[[Output], Sequence]] = {"png": Apng, "webp": AnimatedWebp, "tiff": Pages}
    return kinds[written](output)


class _Frames:
    """Frames that are files of their own first; they must be of one size and kind."""

    def __init__(self, output: Output, format: str) -> None:  # noqa: A002 - the recipe's word
        self.size = 0
        self._output, self._format = output, format
        self._files: list[tuple[bytes, int]] = []
        self._notes: tuple[str, ...] = ()
        self._shape: tuple[int, ...] = ()

    def add(self, picture: Picture, milliseconds: int) -> None:
        """See `Sequence`."""
        shape = picture.array.shape
        if self._files and shape != self._shape:
            raise EncodeError(
                f"frame {len(self._files) + 1} has another size or other channels than the first, which an animated "
                f"{self._format} cannot hold: {shape[1]}x{shape[0]} and {self._shape[1]}x{self._shape[0]}",
                HOW,
            )
        self._shape = shape
        encoded = encode(picture, self._format, quality=self._output.quality, bits=self._output.bits)
        self._notes += tuple(note for note in encoded.notes if note not in self._notes)
        self._files.append((encoded.data, milliseconds))
        self.size += len(encoded.data)


class Apng(_Frames):
    """An animated PNG (PNG 3, section 4.9): every frame is whole, and takes the place of the one before."""

    def __init__(self, output: Output) -> None:
        super().__init__(output, "png")

    def finish(self, plays: int) -> Encoded:
        """See `Sequence`."""
        return Encoded(b"".join(self._parts(plays)), "png", self._notes)

    def _parts(self, plays: int) -> Iterator[bytes | memoryview]:
        yield PNG_SIGNATURE
        number = 0
        for index, (file, milliseconds) in enumerate(self._files):
            view = memoryview(file)
            chunks = [(kind, view[start : start + length]) for kind, start, length in png_chunks(file)]
            if index == 0:
                for kind, body in chunks:
                    if kind not in (b"IDAT", b"IEND"):
                        yield from chunk(kind, body)
                yield from chunk(b"acTL", struct.pack(">II", len(self._files), min(plays, MOST_PLAYS)))
            yield from chunk(b"fcTL", self._control(number, milliseconds))
            number += 1
            for kind, body in chunks:
                if kind == b"IDAT" and index == 0:
                    yield from chunk(kind, body)
                elif kind == b"IDAT":
                    yield from chunk(b"fdAT", struct.pack(">I", number) + body)
                    number += 1
        yield from chunk(b"IEND")

    def _control(self, number: int, milliseconds: int) -> bytes:
        height, width = self._shape[:2]
        return struct.pack(">IIIIIHHBB", number, width, height, 0, 0, min(milliseconds, LONGEST_DELAY), 1000, 0, 0)


class AnimatedWebp(_Frames):
    """An animated WebP (RFC 9649, section 2.7): every frame is whole, and takes the place of the one before."""

    def __init__(self, output: Output) -> None:
        super().__init__(output, "webp")

    def finish(self, plays: int) -> Encoded:
        """See `Sequence`."""
        height, width = self._shape[:2]
        profile = [body for kind, body in _riff(self._files[0][0]) if kind == b"ICCP"]
        has_alpha = len(self._shape) > 2 and self._shape[2] in (2, 4)
        flags = ANIMATION | (ALPHA if has_alpha else 0) | (PROFILE if profile else 0)
        parts = [b"WEBP", _riff_chunk(b"VP8X", struct.pack("<I", flags) + _three(width - 1) + _three(height - 1))]
        parts += [_riff_chunk(b"ICCP", body) for body in profile]
        parts.append(_riff_chunk(b"ANIM", struct.pack("<IH", 0, min(plays, MOST_PLAYS))))
        for file, milliseconds in self._files:
            place = _three(0) + _three(0) + _three(width - 1) + _three(height - 1)
            head = place + _three(min(milliseconds, LONGEST_WEBP_DELAY)) + bytes([NO_BLENDING])
            pixels = [_riff_chunk(kind, body) for kind, body in _riff(file) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
            parts.append(_riff_chunk(b"ANMF", head + b"".join(pixels)))
        return Encoded(_riff_chunk(b"RIFF", b"".join(parts)), "webp", self._notes)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _riff(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a WebP."""
    place = 12
    while place + 8 <= len(file):
        length = int.from_bytes(file[place + 4 : place + 8], "little")
        yield file[place : place + 4], file[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


class Pages:
    """A TIFF of many pages, which may be of any sizes."""

    def __init__(self, output: Output) -> None:
        self.size = 0
        self._output = output
        self._target = io.BytesIO()
        self._file = tifffile.TiffWriter(self._target)
        self._notes: tuple[str, ...] = ()

    def add(self, picture: Picture, milliseconds: int) -> None:
        """See `Sequence`; a page is shown for no time."""
        array, profile, notes = prepared(picture, "tiff", self._output.bits)
        tiff.write_page(self._file, strips_of(array), profile)
        notes += ("durations of its frames are lost in a TIFF",) if milliseconds else ()
        self._notes += tuple(note for note in notes if note not in self._notes)
        self.size = self._target.tell()

    def finish(self, plays: int) -> Encoded:
        """See `Sequence`; pages are not played."""
        del plays
        self._file.close()
        return Encoded(self._target.getvalue(), "tiff", self._notes)
