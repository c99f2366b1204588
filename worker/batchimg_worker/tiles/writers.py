"""Write an image strip by strip. `encode` may run in several threads; `save` takes what it made, in order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import imagecodecs
import numpy as np

from batchimg_worker import png
from batchimg_worker.encoding import CHROMA, JFIF, with_jpeg_profile
from batchimg_worker.errors import EncodeError
from batchimg_worker.header import PNG_SIGNATURE, SCAN
from batchimg_worker.operations import Shape
from batchimg_worker.operations.arrays import Image, packed
from batchimg_worker.operations.kernels import native
from batchimg_worker.recipe import Output

MOST_UNITS = 65_535
"""Blocks of pixels between two restart markers of a JPEG: its number has 16 bits."""

UNIT = 16
ADLER = 65_521
ZLIB_START, DEFLATE_END = b"\x78\x01", b"\x03\x00"


@dataclass(frozen=True)
class Piece:
    """An encoded strip: its parts, in order. The rest is what the format wants to know of it beside."""

    parts: list[bytes]
    head: bytes = b""
    checksum: int = 0
    length: int = 0
    half: Image | None = None


@dataclass(frozen=True)
class Frame:
    """What is known of a result before its strips come; ``pixel`` is one of them, for type and channels."""

    height: int
    width: int
    pixel: Image
    icc_profile: bytes | None
    quality: int = 90
    subsampling: str = CHROMA

    @property
    def channels(self) -> int:
        """1 to 4."""
        return self.pixel.shape[2] if self.pixel.ndim > 2 else 1


def frame_of(shape: Shape, pixel: Image, icc_profile: bytes | None, output: Output) -> Frame:
    """Of a result of this shape whose pixels are as ``pixel``, written as the recipe asks."""
    return Frame(shape[0], shape[1], pixel, icc_profile, output.quality, output.subsampling or CHROMA)


class Writer(Protocol):
    """One format."""

    def encode(self, strip: Image) -> Piece:
        """Encode a strip; all but the last one have the same height, a multiple of `plan.STRIP_ROWS`."""

    def save(self, path: Path, pieces: Iterator[Piece]) -> None:
        """Write the file."""


class JpegWriter:
    """Strips between restart markers (ITU T.81, B.2.1): the pixels are those of one encoding of the whole."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        sampling = frame.subsampling.replace(":", "") if frame.channels == 3 else "444"
        self._sampling = sampling
        across = UNIT if sampling in ("422", "420") else UNIT // 2
        down = UNIT if sampling == "420" else UNIT // 2
        columns = -(-frame.width // across)
        self._rows = UNIT
        while self._rows < 256 and columns * (2 * self._rows // down) <= MOST_UNITS:
            self._rows *= 2
        self._interval = columns * (self._rows // down)

    def encode(self, strip: Image) -> Piece:
        """One part for each restart interval."""
        parts: list[bytes] = []
        head = b""
        for top in range(0, len(strip), self._rows):
            rows = packed(strip[top : top + self._rows])
            data = bytes(imagecodecs.jpeg8_encode(rows, level=self._frame.quality, subsampling=self._sampling))
            place = _scan(data)
            begin = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            head = head or data[:begin]
            parts.append(data[begin:-2])
        return Piece(parts, head)

    def save(self, path: Path, pieces: Iterator[Piece]) -> None:
        """The first head, with the true height, and all parts with restart markers between them."""
        with path.open("wb") as file:
            number = 0
            for piece in pieces:
                if number == 0:
                    file.write(self._head(piece.head))
                for part in piece.parts:
                    if number:
                        file.write(bytes((0xFF, 0xD0 + (number - 1) % 8)))
                    file.write(part)
                    number += 1
            file.write(b"\xff\xd9")

    def _head(self, head: bytes) -> bytes:
        if not head.startswith(JFIF):
            raise EncodeError("the JPEG library wrote no JFIF header", "Choose another output format.")
        frame, scan = _marker(head, range(0xC0, 0xC4)), _scan(head)
        sized = head[: frame + 5] + struct.pack(">HH", self._frame.height, self._frame.width) + head[frame + 9 : scan]
        whole = sized + b"\xff\xdd\x00\x04" + struct.pack(">H", self._interval) + head[scan:]
        profile = self._frame.icc_profile
        return whole if profile is None else with_jpeg_profile(whole, profile)


def _scan(data: bytes) -> int:
    return _marker(data, range(SCAN, SCAN + 1))


def _marker(data: bytes, wanted: range) -> int:
    """Where the first of these markers stands."""
    place = 2
    while data[place + 1] not in wanted:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


class PngWriter:
    """Strips that are filtered and deflated each for itself, joined to one stream (RFC 1950)."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def encode(self, strip: Image) -> Piece:
        """A raw deflate stream that ends at a byte, and its checksum."""
        deep = strip.dtype == np.uint16
        rows = np.ascontiguousarray(strip.astype(">u2") if deep else strip)
        filtered = _filtered(rows)
        return Piece([_deflated(filtered)], checksum=_adler(filtered), length=filtered.nbytes)

    def save(self, path: Path, pieces: Iterator[Piece]) -> None:
        """One IDAT chunk a strip."""
        frame = self._frame
        bits = frame.pixel.itemsize * 8
        kind = png.COLOUR_TYPES[frame.channels]
        header = struct.pack(">IIBBBBB", frame.width, frame.height, bits, kind, 0, 0, 0)
        total = 1
        with path.open("wb") as file:
            file.writelines([PNG_SIGNATURE, *png.chunk(b"IHDR", header), *png.profile_chunk(frame.icc_profile)])
            start = ZLIB_START
            for piece in pieces:
                file.writelines(png.chunk(b"IDAT", b"".join([start, *piece.parts])))
                total, start = adler_of_both(total, piece.checksum, piece.length), b""
            file.writelines(png.chunk(b"IDAT", DEFLATE_END + struct.pack(">I", total)))
            file.writelines(png.chunk(b"IEND"))


def _filtered(rows: Image) -> Image:
    """As a PNG wants them; the first row is not filtered, because the one above it is in another strip."""
    plain = rows.reshape(len(rows), -1).view(np.uint8)
    if native.available():
        filtered = native.png_filter(rows)
        filtered[0, 0], filtered[0, 1:] = 0, plain[0]
        return filtered
    up = np.zeros((len(plain), plain.shape[1] + 1), np.uint8)
    up[0, 1:] = plain[0]
    up[1:, 0] = 2
    np.subtract(plain[1:], plain[:-1], out=up[1:, 1:])
    return up


def _deflated(filtered: Image) -> bytes:
    from isal import isal_zlib

    stream = isal_zlib.compressobj(png.LEVEL, isal_zlib.DEFLATED, -15)
    return bytes(stream.compress(filtered) + stream.flush(isal_zlib.Z_FULL_FLUSH))


def _adler(data: Image) -> int:
    from isal import isal_zlib

    return int(isal_zlib.adler32(data))


def adler_of_both(first: int, second: int, length: int) -> int:
    """The Adler-32 of two texts, from theirs and the length of the second."""
    low = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % ADLER
    high = ((first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)) % ADLER
    return high << 16 | low
