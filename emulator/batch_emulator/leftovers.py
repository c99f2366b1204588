"""Finding and killing processes that would outlive their task, or their emulator."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

TASK_MARK = "AZ_BATCH_TASK_DIR"
"""The variable by whose value a process is known to belong to a task."""

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Let orphans below this process become its children, instead of those of init; False if not possible."""
    try:
        return int(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False


def children() -> list[int]:
    """Pids of all children of this process, adopted ones included."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += [int(pid) for pid in (thread / "children").read_text().split()]
    return found


def kill_orphan(pid: int, mark_value: str) -> bool:
    """Kill an adopted child if it belongs to the task of that mark, and reap it if it is dead already."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
    except ChildProcessError:
        return False
    if not has_mark(pid, f"{TASK_MARK}={mark_value}\0".encode()):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    return True


def has_mark(pid: int, mark: bytes) -> bool:
    """Whether a process was started with an environment that contains `mark`."""
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that `pid` leads; one that is gone already is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def start_time(pid: int) -> str:
    """The kernel's start time of a process in its own units, or '' when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat.rpartition(b")")[2].split()[19].decode()


def kill_leftovers(marks: list[str]) -> int:
    """Kill the groups of processes that an emulator before this one left; gives how many were alive."""
    killed = 0
    for mark in marks:
        pid, _, started = mark.partition(":")
        if started and start_time(int(pid)) == started:
            signal_group(int(pid), signal.SIGKILL)
            killed += 1
    return killed


def kill_marked(nodes_root: Path) -> int:
    """Kill all processes that were started as tasks below a data directory; gives how many there were."""
    mark = f"{TASK_MARK}={nodes_root}/".encode()
    own = os.getpid()
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = [pid for pid in pids if pid != own and has_mark(pid, mark)]
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)
