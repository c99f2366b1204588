"""A dataset: the images of a folder or of a container, held as columns (some 150 bytes an image)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchimg_worker.contract import Source
from batchimg_worker.naming import IMAGE_SUFFIXES, rivals
from batchimg_worker.paths import unsafe_path

LONGEST_PATH = 800  # characters; a blob's name has 1,024, and ours puts the run and the variant before the path


@dataclass(frozen=True, slots=True)
class Rejected:
    """An image that cannot be sent: it stays behind, and the run's ledger says why."""

    path: str
    size: int
    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images in the order of their paths. ``root`` is set for a folder, ``source`` for blobs.

    ``label`` is what the user typed; ``digests`` holds 16 bytes of MD5 an image once they are known (zeros where
    the service has none), and ``tags`` an ETag each for blobs. ``beside`` are the paths of the whole dataset where this
    is a part of one: names of results are told apart among all of them. ``bands`` tells
    over how many tasks an image is split.
    """

    label: str
    name: str
    root: Path | None
    source: Source | None
    paths: list[str]
    sizes: array[int]
    digests: bytes = b""
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0
    hidden: int = 0
    tags: list[str] = field(default_factory=list)
    beside: list[str] | None = None
    bands: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def bytes(self) -> int:
        """The size of all images together."""
        return sum(self.sizes)

    def md5(self, index: int) -> str | None:
        """The MD5 of one image in hexadecimal, None where it is not known."""
        digest = self.digests[16 * index : 16 * index + 16]
        return digest.hex() if any(digest) else None

    def etag(self, index: int) -> str | None:
        """What tells one image's content where it has no checksum: the blob's ETag; None for what has one."""
        return (self.tags[index] or None) if self.tags and self.md5(index) is None else None

    def index(self, path: str) -> int | None:
        """Where an image stands, None where it is not there."""
        place = bisect_left(self.paths, path)
        return place if place < len(self.paths) and self.paths[place] == path else None

    def is_same(self, index: int, size: int, md5: str | None, etag: str | None) -> bool:
        """Whether an image is as it was when it had this size and checksum, or ETag for want of one.

        Of a file that is not opened (`--plan`) the size has to do.
        """
        if self.sizes[index] != size:
            return False
        known = self.md5(index)
        if known is not None:
            return known == md5
        return not self.tags or (etag is not None and self.tags[index] == etag)

    def only(self, indexes: list[int]) -> Dataset:
        """Some of the images, in the same order."""
        return replace(
            self,
            paths=[self.paths[index] for index in indexes],
            sizes=array("Q", (self.sizes[index] for index in indexes)),
            digests=b"".join(self.digests[16 * index : 16 * index + 16] for index in indexes),
            tags=[self.tags[index] for index in indexes] if self.tags else [],
            beside=self.beside or self.paths,
        )

    def has_rival(self, path: str) -> bool:
        """Whether the results of another image could get this one's name."""
        return any(self._has(rival) for rival in rivals(path))

    def _has(self, path: str) -> bool:
        paths = self.beside or self.paths
        place = bisect_left(paths, path)
        return place < len(paths) and paths[place] == path


def is_image_name(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in IMAGE_SUFFIXES


def unusable_name(path: str) -> str | None:
    """Why a path cannot be the name of a blob; None where it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    if len(path) > LONGEST_PATH:
        return f"its path has {len(path)} characters, {LONGEST_PATH} is the most; put it into fewer folders"
    return unsafe_path(path)
