"""Fetches large originals to disk; of a TIFF only what its results need: its directories, and some strips or tiles.

That a part is of the original that was submitted is told by its ETag, which every request names: a checksum is that of
the whole.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import tifffile

from batchimg_worker.contract import ImageEntry
from batchimg_worker.errors import ImageError, InputError, StorageError
from batchimg_worker.header import TIFF_SIGNATURES
from batchimg_worker.listing import Blob
from batchimg_worker.parts import Original, Parts
from batchimg_worker.quiet import quiet
from batchimg_worker.ranged import Read, read_ahead
from batchimg_worker.recipe import Recipe
from batchimg_worker.storage import Container
from batchimg_worker.tiles.files import CHANGED, check_room, fetch, room_on_disk
from batchimg_worker.tiles.original import look
from batchimg_worker.tiles.plan import WHOLE, make_plan, wants_tiles
from batchimg_worker.tiles.process import Room
from batchimg_worker.tiles.segments import byte_ranges

WORTH = 0.9
"""Who needs more than this share of a file gets all of it, and its checksum is looked at."""

HEADER_BYTES, HEADER_SHARE = 32 << 20, 0.01
"""Of a file whose directories are spread over more than this, and over more than this share of it, all is fetched."""


log = logging.getLogger(__name__)


class ScatteredError(StorageError):
    """Directories lie all over the file: it is read faster as a whole."""


@dataclass
class _Header:
    """Reads no more than ``most`` bytes in all. Raises ScatteredError."""

    of_file: Read
    most: float
    came: int = 0

    def read(self, start: int, count: int) -> bytes:
        if self.came > self.most:
            raise ScatteredError("its directories are spread all over it")
        self.came += count
        return self.of_file(start, count)


@dataclass(frozen=True)
class SourceBlob:
    """An original in blob storage, and what was known of it when it was submitted."""

    container: Container
    path: str
    entry: ImageEntry

    def read_same(self, etag: str, start: int, count: int) -> bytes:
        """So many bytes. Raises InputError where it is not the blob with this ETag any more."""
        try:
            content = self.container.read_range(self.path, start, count, etag)
        except StorageError as error:
            if error.code == "ConditionNotMet":
                raise InputError(CHANGED) from error
            raise
        if len(content) != count:
            raise StorageError(f"{self.path}: {len(content)} of {count} bytes from {start} on came", code="ShortAnswer")
        return content


def fetch_original(source: SourceBlob, recipe: Recipe, room: Room) -> Original:
    """What this entry needs of its original, in a new file of the room's folder; the whole where that is nearly all, or
    cannot be told.

    Raises InputError where it is another one than was submitted, any other ImageError that the work on it would raise,
    and StorageError.
    """
    entry, blob = source.entry, source.container.stat(source.path)
    if blob is None:
        return fetch(source.container.read_chunks(source.path), room.folder, entry.size, entry.md5)
    read = partial(source.read_same, blob.etag)
    parts = _parts(read, entry, recipe, room) if _is_known(entry, blob) else None
    return parts or fetch(read_ahead(read, entry.size), room.folder, entry.size, entry.md5)


def _parts(read: Read, entry: ImageEntry, recipe: Recipe, room: Room) -> Parts | None:
    header = _Header(read, max(HEADER_BYTES, HEADER_SHARE * entry.size))
    with ExitStack() as on_failure, room_on_disk(room.folder):
        parts = Parts(header.read, entry.size, room.folder)
        on_failure.callback(parts.unlink)
        needed = _needed(parts, entry, recipe, room)
        if needed is None:
            return None
        check_room("what is needed of the original", sum(map(len, needed)), room.folder)
        header.most = float("inf")
        parts.fetch(needed)
        log.info("%s: %d of its %d bytes were needed", entry.path, parts.fetched, parts.size)
        on_failure.pop_all()
        return parts


def _is_known(entry: ImageEntry, blob: Blob) -> bool:
    """Whether the service tells that it is the original that was submitted; where it cannot tell, its bytes do.

    Raises InputError where it is another one.
    """
    if blob.size != entry.size or (entry.etag is not None and blob.etag != entry.etag):
        raise InputError(CHANGED)
    if entry.md5 is not None and blob.md5 is not None and blob.md5 != entry.md5:
        raise InputError(CHANGED)
    return entry.md5 is None or blob.md5 is not None


def _needed(parts: Parts, entry: ImageEntry, recipe: Recipe, room: Room) -> list[range] | None:
    """What is to be fetched beside the directories, which have come then."""
    try:
        with parts.open() as content:
            if content.read(4) not in TIFF_SIGNATURES:
                return None
        seen = look(parts)
        if entry.band is None and not wants_tiles(seen.header, recipe, room.limits, room.tiles):
            return None
        extent = make_plan(seen, recipe, room.limits, room.tiles, entry.band or WHOLE).extent
        if (extent.height, extent.width) == (seen.header.height, seen.header.width):
            return None
        with quiet(), parts.open() as content, tifffile.TiffFile(content) as file:
            needed = parts.missing(byte_ranges(file.pages.first, extent))
    except ScatteredError:
        return None
    except (ImageError, StorageError):
        raise
    except Exception:  # noqa: BLE001 - a directory that is damaged, say: who works on the whole file tells
        return None
    return needed if parts.fetched + sum(map(len, needed)) < WORTH * parts.size else None
