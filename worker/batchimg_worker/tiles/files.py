"""Originals and results that lie in files and not in memory."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchimg_worker.errors import ImageTooLarge, InputError
from batchimg_worker.pieces import Pieces

MIB = 1 << 20
LARGE_BYTES = 64 * MIB
"""A larger original goes to a file, and is read into memory only if it fits there."""

CHANGED = "the original has changed since it was submitted"


@dataclass(frozen=True)
class EncodedFile:
    """As `codec.Encoded`, of a large file: ``data`` is its path, or its pieces in memory, ``md5`` 16 bytes."""

    data: Path | Pieces
    format: str
    size: int
    md5: bytes
    notes: tuple[str, ...] = ()


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Turn a disk that is full into an error of this image: another one may be smaller."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ImageTooLarge(
            f"the disk of {folder} is full", "Use a node with a larger disk, or set TMPDIR to one."
        ) from error


def check_room(name: str, size: int, folder: Path) -> None:
    """Raise ImageTooLarge where the folder's disk has no space for so many bytes of what has this name."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ImageTooLarge(
            f"{name} of {size / MIB:,.0f} MB does not fit into {folder}, where {free / MIB:,.0f} MB are free",
            "Use a node with a larger disk, or set TMPDIR to one.",
        )


def described(path: Path, format: str, notes: tuple[str, ...]) -> EncodedFile:  # noqa: A002 - the recipe's word
    """Read a finished file once, for its checksum."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    return EncodedFile(path, format, path.stat().st_size, md5, notes)


def fetch(pieces: Iterable[bytes], folder: Path, size: int, md5: str | None) -> Path:
    """Write an original into a new file of the folder.

    Raises ImageTooLarge where the disk has no space for it, InputError where it is another file than was submitted.
    """
    check_room("the original", size, folder)
    found = hashlib.md5(usedforsecurity=False)
    with ExitStack() as on_failure, room_on_disk(folder):
        with tempfile.NamedTemporaryFile(dir=folder, prefix="original-", delete=False) as file:
            on_failure.callback(Path(file.name).unlink)
            for piece in pieces:
                found.update(piece)
                file.write(piece)
        if md5 is not None and found.hexdigest() != md5:
            raise InputError(CHANGED)
        on_failure.pop_all()
    return Path(file.name)
