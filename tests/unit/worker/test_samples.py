"""The sample images: licensed, small, and of every kind that the demo shows."""

from pathlib import Path

import pytest

from batchimg_worker.codec import decode, inspect
from batchimg_worker.errors import DecodeError

SAMPLES = Path(__file__).parents[3] / "samples"
FILES = sorted(path for path in (SAMPLES / "images").rglob("*") if path.is_file())
BROKEN = ("odd/not-a-picture.jpg", "odd/truncated.jpg")


def name(path):
    return path.relative_to(SAMPLES / "images").as_posix()


def test_there_are_enough_and_they_are_small():
    assert 15 <= len(FILES) <= 25
    assert sum(path.stat().st_size for path in FILES) < 8_000_000


def test_every_file_has_its_source_and_licence():
    rows = [line.split("|")[1:5] for line in (SAMPLES / "LICENSES.md").read_text().splitlines() if "| `" in line]
    licensed = {row[0].strip().strip("`"): row[3].strip() for row in rows}
    assert set(licensed) == {name(path) for path in FILES}
    assert set(licensed.values()) == {"CC0", "CC BY 2.0", "public domain"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_sample_is_read_or_is_meant_to_be_broken(path):
    if name(path) in BROKEN:
        with pytest.raises(DecodeError):
            decode(path.read_bytes())
    else:
        assert decode(path.read_bytes()).array.size > 0


def test_the_odd_kinds_are_among_them():
    headers = {name(path): inspect(path.read_bytes()) for path in FILES if name(path) != BROKEN[0]}
    kinds = {(header.format, header.mode, header.bits) for header in headers.values()}
    assert kinds >= {("jpeg", "CMYK", 8), ("jpeg", "L", 8), ("png", "RGBA", 8), ("png", "RGB", 16), ("webp", "RGB", 8)}
    assert headers["animals/chelsea-turned.jpg"].orientation == 6
    assert any(" " in file for file in headers)
