"""Local names: where a blob goes below a folder, on any file system, and never outside of it."""

import hashlib
import os
import tempfile
import threading
from pathlib import Path, PurePosixPath

from batchimg.errors import InputError

LONGEST_PART = 255  # bytes of one name, on all common file systems


class LocalNames:
    """Gives every blob path a place below ``folder``; two paths never get the same one. Thread-safe.

    A part that is too long for the file system, or that differs from another one only in case where the file
    system does not see that, gets a short hash before its suffix.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folds_case = _folds_case(folder)
        self._root = folder.resolve()
        self._made: set[Path] = set()
        self._taken: dict[str, str] = {}
        self._lock = threading.Lock()

    def place(self, path: str) -> Path:
        """The file for a blob. Raises InputError for a path that would leave the folder."""
        parts = path.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts) or (
            os.sep != "/" and set(path) & {os.sep, ":"}
        ):
            raise InputError(f"blob {path!r} has no place below {str(self.folder)!r}", "Rename it in blob storage.")
        local = "/".join(_short_enough(part) for part in parts)
        if self._folds_case:
            local = self._apart(local, path)
        return self.folder / local

    def make_room(self, place: Path) -> None:
        """Make the folder of a place. Raises InputError where a link on the way leads out of ``folder``."""
        parent = place.parent
        if parent in self._made:
            return
        if not parent.resolve().is_relative_to(self._root):
            raise InputError(
                f"{str(parent)!r} leads out of {str(self.folder)!r} through a link: nothing is written there",
                "Remove the link, or give another folder with --to.",
            )
        parent.mkdir(parents=True, exist_ok=True)
        self._made.add(parent)

    def _apart(self, local: str, path: str) -> str:
        with self._lock:
            if self._taken.setdefault(local.casefold(), path) == path:
                return local
            other = PurePosixPath(local)
            return str(other.with_name(_hashed(other.name, path)))


def _short_enough(part: str) -> str:
    return part if len(part.encode()) <= LONGEST_PART else _hashed(part, part)


def _hashed(name: str, what: str) -> str:
    """``stem~hash.suffix``, at most 255 bytes long."""
    pure = PurePosixPath(name)
    suffix = pure.suffix if len(pure.suffix.encode()) < 32 else ""
    tail = "~" + hashlib.sha256(what.encode()).hexdigest()[:8] + suffix
    stem = pure.stem.encode()[: LONGEST_PART - len(tail.encode())].decode(errors="ignore")
    return stem + tail


def _folds_case(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(prefix=".batchimg-Case", dir=folder) as probe:
        return Path(probe.name).with_name(Path(probe.name).name.swapcase()).exists()
