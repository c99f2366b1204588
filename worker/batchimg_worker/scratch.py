"""A temporary folder that does not outlive its process for long: what a killed one left, the next one removes.

Each folder is locked (flock) as long as its process lives, and those that it forks. A folder that nobody holds was
left by a process that was killed.
"""

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "batchimg-scratch-"
_NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")  # as mkdtemp names them: nothing else is ever removed


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder below TMPDIR, which goes with the context. Raises OSError."""
    root = Path(tempfile.gettempdir())
    _sweep(root)
    folder, lock = _make(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(root: Path) -> tuple[Path, int]:
    """A new folder and its lock. Another process may take it for a left one before it is locked: then another one."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                _take(lock)
                if folder.exists():
                    return folder, lock
            except BlockingIOError:
                pass
            except OSError:  # a file system without locks: nobody can sweep there either
                return folder, lock
            os.close(lock)


def _sweep(root: Path) -> None:
    """Remove what processes that were killed have left; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        for folder in list(root.iterdir()):
            if _NAME.fullmatch(folder.name):
                with contextlib.suppress(OSError):
                    _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of ours that nobody holds. Raises OSError."""
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        about = os.fstat(lock)
        if about.st_uid == os.getuid() and stat.S_IMODE(about.st_mode) == stat.S_IRWXU:
            _take(lock)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    """Lock an open folder. Raises BlockingIOError where another process holds it."""
    import fcntl

    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
