"""Keeping tasks away from single files by mounts of their own: what root can have where Landlock would cost too much.

A thread that has left the others' mounts covers the files with /dev/null, for itself and for all that it starts. The
rest of the machine is as it was. It keeps honest tasks from secrets; root's tasks could take the cover away.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batch_emulator.spawner import Fresh

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _SLAVE = 1 << 12, 1 << 14, 1 << 19


def _checked(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: bytes | None, target: bytes, flags: int) -> None:
    _checked(_LIBC.mount(source, target, None, ctypes.c_ulong(flags), None), "mount")


def _leave_the_others_mounts() -> None:
    """What is mounted by others later is seen; what this thread mounts is not seen by others."""
    _checked(_LIBC.unshare(_NEW_MOUNTS), "unshare")
    _mount(None, b"/", _RECURSIVE | _SLAVE)


def is_possible() -> bool:
    """Whether this process may; tried in a thread of its own."""
    found: list[bool] = []

    def attempt() -> None:
        try:
            _leave_the_others_mounts()
        except OSError:
            return
        found.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(found)


@dataclass(frozen=True)
class Cover:
    """What is covered: the files in folders of the emulator's own, and single files."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]

    def enter(self, _node_root: str) -> Fresh:
        """Cover what there is of them by now, for this thread and all that it starts. OSError if it cannot be done."""
        _leave_the_others_mounts()
        for file in self._found():
            _mount(b"/dev/null", os.fsencode(file), _BIND)
        return lambda: True

    def _found(self) -> Iterator[Path]:
        for folder in self.folders:
            if folder.is_dir():
                yield from (path for path in folder.iterdir() if path.is_file())
        yield from (file for file in self.files if file.is_file())
