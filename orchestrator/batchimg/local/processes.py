"""Processes that somebody else started, named so that a recycled pid is never mistaken for one of them."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and when that process started (an opaque text, unique to this boot of the machine)."""

    pid: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """Who has `pid` now; None where nobody has, or only a zombie."""
    started = _started_linux(pid) if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    return None if started is None else ProcessId(pid, started)


def is_alive(process: ProcessId) -> bool:
    """Whether this very process runs still."""
    return identify(process.pid) == process


def descendants(pid: int) -> tuple[ProcessId, ...]:
    """All living processes below `pid`."""
    import psutil

    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return ()
    return tuple(found for child in below if (found := identify(child.pid)) is not None)


def end(processes: Iterable[ProcessId], grace_seconds: float) -> bool:
    """SIGTERM to the processes, after `grace_seconds` SIGKILL to what is left; whether one was killed."""
    running = [process for process in processes if _send(process, signal.SIGTERM)]
    left = wait_until_gone(running, grace_seconds)
    for process in left:
        _send(process, signal.SIGKILL)
    wait_until_gone(left, grace_seconds)
    return bool(left)


def wait_until_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait for the ends of the processes; returns those that are alive after `seconds`."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if is_alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = [process for process in left if is_alive(process)]
    return left


def _send(process: ProcessId, signal_number: signal.Signals) -> bool:
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, signal_number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _started_linux(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # proc(5): field 2, the name, may hold spaces and brackets; 3 is the state, 22 the start in clock ticks.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "boot"


def _started_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.3f}"
    except psutil.Error:
        return None
