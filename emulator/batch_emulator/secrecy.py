"""Keeping what this process knows from the tasks that it starts, which run as the same user."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.getenv.restype = ctypes.c_void_p
_LIBC.getenv.argtypes = (ctypes.c_char_p,)
_PR_SET_DUMPABLE = 4


def close_to_others() -> None:
    """Nobody but root may look into this process from now on: memory, environment, open files. No core dumps."""
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def take_variable(name: str) -> str | None:
    """The value of an environment variable, which is gone then: from /proc/<pid>/environ too."""
    value = os.environ.get(name)
    place = _LIBC.getenv(name.encode())
    if place:
        # What the kernel shows is the memory in which the process got its environment.
        ctypes.memset(place, ord("-"), len(ctypes.string_at(place)))
    os.environ.pop(name, None)
    return value
