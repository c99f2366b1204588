"""Images for the acceptance tests, made on the spot."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np


def noise(folder: Path, number: int, side: int = 64, name: str = "{:04d}.png") -> Path:
    """A folder of small random images; the same numbers give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for index in range(number):
        iio.imwrite(folder / name.format(index), random.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return folder


def bomb(file: Path, side: int) -> Path:
    """A PNG of side x side pixels in a few hundred kB: 22,400 of them squared are 502 megapixels."""
    import struct
    import zlib

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", packed) + part(b"IEND", b""))
    return file
