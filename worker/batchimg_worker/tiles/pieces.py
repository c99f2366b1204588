"""A band of one result as a file: a header, then its pieces as the writers made them.

Nothing is encoded again when bands are joined: the pieces of all of them are what the writer of one whole file gets.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from batchimg_worker.contract import BandHeader
from batchimg_worker.documents import dump, parse
from batchimg_worker.operations.arrays import Image
from batchimg_worker.tiles.store import TYPES, bytes_of
from batchimg_worker.tiles.writers import Piece

_SIZES = struct.Struct(">IIIQQ")  # of a piece: its parts, and then bytes of head, checksum, length, bytes of half


class PixelWriter:
    """Pieces that are the pixels as they are, for a result that is encoded as a whole."""

    def encode(self, strip: Image) -> Piece:
        """One part."""
        return Piece([bytes(bytes_of(strip))])


def write_band(path: Path, header: BandHeader, pieces: Iterable[Piece]) -> None:
    """Write a band's file."""
    with path.open("wb") as file:
        file.write(dump(header) + b"\n")
        for piece in pieces:
            half = b"" if piece.half is None else bytes(bytes_of(piece.half))
            file.write(_SIZES.pack(len(piece.parts), len(piece.head), piece.checksum, piece.length, len(half)))
            file.write(struct.pack(f">{len(piece.parts)}Q", *map(len, piece.parts)))
            file.writelines([piece.head, *piece.parts, half])


def read_header(file: IO[bytes]) -> BandHeader:
    """The first line of a band's file. Raises ContractError."""
    return parse(BandHeader, file.readline(), str(file.name))


def read_pieces(file: IO[bytes], header: BandHeader) -> Iterator[Piece]:
    """What follows the first line, one at a time."""
    while sizes := file.read(_SIZES.size):
        count, head, checksum, length, half = _SIZES.unpack(sizes)
        lengths = struct.unpack(f">{count}Q", file.read(8 * count))
        first = file.read(head)
        parts = [file.read(one) for one in lengths]
        yield Piece(parts, first, checksum, length, _half(file.read(half), header) if half else None)


def _half(data: bytes, header: BandHeader) -> Image:
    width = -(-header.width // 2)
    array: Image = np.frombuffer(data, TYPES[header.value_bytes]).reshape(-1, width, header.channels)
    return array


def pixels_of(pieces: Iterable[Piece], header: BandHeader) -> Image:
    """The whole result of pieces by `PixelWriter`, (height, width) where there is one channel."""
    data = b"".join(part for piece in pieces for part in piece.parts)
    shape: Any = (header.height, header.width, *([header.channels] if header.channels > 1 else []))
    array: Image = np.frombuffer(data, TYPES[header.value_bytes]).reshape(shape)
    return array


def profile_text(profile: bytes | None) -> str | None:
    """As a header has it."""
    return None if profile is None else base64.b64encode(profile).decode()


def profile_bytes(text: str | None) -> bytes | None:
    """The other way round."""
    return None if text is None else base64.b64decode(text)
