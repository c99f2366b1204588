"""Keeping tasks away from the emulator's files, with Landlock: Linux 5.13 and later, no privileges needed.

A thread that has confined itself cannot undo it, and what it starts inherits it: it may read and write all files but
those that are kept away, of which only the task's own node is given back. Names of files are not kept secret. A
confined task can also not look into processes that are not its own (unless it is root's), nor (Linux 6.12) send
them signals.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batch_emulator.spawner import Fresh

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_WRITE_FILE, _READ_FILE, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 13, 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_SCOPE_SIGNALS = 2
_SINCE_REFER, _SINCE_TRUNCATE, _SINCE_SCOPES = 2, 3, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    found = int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))
    return max(0, found)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return int(result)


def is_shared(path: Path) -> bool:
    """Whether anybody may put files into a folder above `path`, as in /tmp: tasks will want to use those too."""
    return any(parent.stat().st_mode & stat.S_IWOTH for parent in path.resolve().parents)


@dataclass(frozen=True)
class Confinement:
    """What tasks are kept away from: absolute paths without links."""

    kept_away: tuple[Path, ...]

    def enter(self, node_root: str) -> Fresh:
        """Confine this thread, and all that it starts, to the rest and to one node. OSError if it cannot be done.

        What appears later in a folder above the kept-away paths is out of reach; the function that is given tells
        whether nothing did.
        """
        abi = version()
        handled = _WRITE_FILE | _READ_FILE
        handled |= (_REFER if abi >= _SINCE_REFER else 0) | (_TRUNCATE if abi >= _SINCE_TRUNCATE else 0)
        scoped = _SCOPE_SIGNALS if abi >= _SINCE_SCOPES else 0
        size = ctypes.sizeof(_Ruleset) if abi >= _SINCE_SCOPES else ctypes.sizeof(ctypes.c_uint64)
        rules = _Ruleset(handled, 0, scoped)
        ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0))
        try:
            before = self._changes()
            for path in (*self._open_paths(), node_root):
                _allow(ruleset, path, handled)
            # Allowed without it for root only; a task can then not gain rights, by sudo for example.
            _checked(_LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
            _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
        finally:
            os.close(ruleset)
        return lambda: self._changes() == before

    def _parents(self) -> set[Path]:
        return {parent for path in self.kept_away for parent in path.parents}

    def _changes(self) -> dict[Path, int]:
        found = {}
        for parent in self._parents():
            with suppress(OSError):
                found[parent] = parent.stat().st_mtime_ns
        return found

    def _open_paths(self) -> Iterator[str]:
        """All that stands in folders above the kept-away paths, but not on the way to them."""
        parents = self._parents()
        closed = parents | set(self.kept_away)
        for parent in parents - set(self.kept_away):
            with suppress(OSError), os.scandir(parent) as entries:
                yield from [entry.path for entry in entries if Path(entry.path) not in closed]


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        mode = os.fstat(found).st_mode
        if stat.S_ISLNK(mode):
            return  # what it leads to has a rule of its own, or is kept away
        rule = _Beneath(access if stat.S_ISDIR(mode) else access & _OF_FILES, found)
        _checked(_LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(found)
