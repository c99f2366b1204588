"""The guard: the parent of the process that works on a chunk. It does no work, and so outlives what kills a worker.

It knows the image in hand, ends a worker that takes too long or too much memory, and starts another one that goes on
after it. An image that was in hand when its worker died is suspected: it is left for the end, and then done alone, in
a process of its own. If that one dies too, the image is quarantined, with the reason; its neighbours are done.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchimg_worker.hand import Hand

UNFINISHED = 75  # of a worker: all is done but what it was told to leave out
STORAGE = 69  # storage does not answer
NO_ROOM = 73  # the node's disk is full: no image is to blame, whichever is in hand
CRASHED = 70  # of a task: workers die, and no image is to blame
STOPPED = 143  # told to stop: the node is going away
FINAL = frozenset({0, 64, 65, 66, STORAGE, STOPPED})  # these say what became of the chunk, where nothing was in hand
LOOK_SECONDS = 0.1
GRACE_SECONDS = 1.5  # from SIGTERM until the image in hand is dropped; the node is gone some seconds later
MOST_IN_A_ROW = 8  # images that kill their worker one after another: then it is the node or the recipe
MOST_WITHOUT_IMAGE = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an image is quarantined, as its record says it."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one worker is to do of the chunk: all that is not in the journal, but for what it leaves out.

    ``only`` is a suspect that is done alone; ``condemned`` ones get their record.
    """

    journal: Path
    hand: Hand
    only: str | None = None
    leave_out: frozenset[str] = frozenset()
    condemned: Mapping[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _End:
    """How a worker ended. ``reason`` is set where the guard ended it, or a signal did."""

    code: int
    reason: Reason | None
    stopped: bool = False


class Guard:
    """Workers one after another on one chunk, until it is done or cannot be. ``work`` runs in each of them."""

    def __init__(self, work: Callable[[Turn], int], journal: Path) -> None:
        self._work, self._journal = work, journal
        self._hand = Hand()
        self._suspects: dict[str, Reason] = {}
        self._condemned: dict[str, Reason] = {}
        self._in_a_row = self._without_image = 0
        self.left_journal = False  # whether it is the caller who has to send what the last worker did not

    def run(self) -> int:
        """The exit code of the task."""
        only: str | None = None
        while True:
            end = self._watch(self._fork(only))
            path = self._hand.path
            if end.stopped or end.code == NO_ROOM or (end.code in FINAL and path is None):
                self.left_journal |= end.code in {STORAGE, NO_ROOM}
                return end.code
            all_but_suspects = end.code == UNFINISHED and path is None
            if all_but_suspects:
                self._suspects.pop(only or "", None)
            elif not self._blame(path, end, only):
                self.left_journal = True
                return end.code if end.code > 0 else CRASHED
            only = next(iter(self._suspects), None) if all_but_suspects or only else None

    def _blame(self, path: str | None, end: _End, only: str | None) -> bool:
        """Note what a worker's death says; False where there is no sense in starting another one."""
        if path is None:
            self._without_image += 1
            return end.code < 0 and self._without_image <= MOST_WITHOUT_IMAGE
        reason = end.reason or Reason("WorkerCrashed", f"the worker ended with exit code {end.code}")
        if path == only or reason.error_type == "TimeLimitExceeded":
            self._suspects.pop(path, None)
            self._condemned[path] = reason
            log.error("quarantined: %s: %s", path, reason.message)
            return True
        self._suspects[path] = reason
        self._in_a_row = self._in_a_row + 1 if self._hand.begun <= 1 else 1
        log.warning("%s: %s; it is tried again, alone, at the end", path, reason.message)
        if self._in_a_row >= MOST_IN_A_ROW:
            log.error("%d images in a row ended their worker: the node or the recipe is at fault", self._in_a_row)
            return False
        return True

    def _fork(self, only: str | None) -> int:
        self._hand.clear()
        turn = Turn(self._journal, self._hand, only, frozenset(self._suspects) - {only}, dict(self._condemned))
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _end_with(parent)
                code = self._work(turn)
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                os._exit(code)
        return pid

    def _watch(self, pid: int) -> _End:
        """Wait for a worker's end, and bring it about where it takes too much."""
        begun, since, stop_at = -1, 0.0, 0.0
        while True:
            found = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, LOOK_SECONDS)
            now = time.monotonic()
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                return self._ended(code, told=stop_at > 0)
            if found is not None and found.si_signo == signal.SIGTERM and not stop_at:
                stop_at = now + GRACE_SECONDS
                os.kill(pid, signal.SIGTERM)
            if stop_at and now > stop_at:
                _kill(pid)
                self.left_journal = True
                return _End(STOPPED, None, stopped=True)
            if self._hand.begun != begun:
                begun, since = self._hand.begun, now
            reason = self._excess(pid, now - since)
            if reason is not None and self._hand.begun == begun:
                _kill(pid)
                return _End(-signal.SIGKILL, reason)

    def _ended(self, code: int, *, told: bool) -> _End:
        if not told or code == 0:
            return _End(code, _signalled(code))
        self.left_journal = code != STOPPED
        return _End(STOPPED, None, stopped=True)

    def _excess(self, pid: int, seconds: float) -> Reason | None:
        """What a worker takes too much of, None where all is well."""
        limit, most = self._hand.seconds, self._hand.memory_bytes
        if limit and seconds > limit and self._hand.path is not None:
            return Reason("TimeLimitExceeded", f"it took longer than {limit:g} s, the limit of one image")
        if most and _resident_bytes(pid) > most:
            return Reason("MemoryLimitExceeded", f"its worker took more than {most >> 20} MB, the limit of a task")
        return None


def _signalled(code: int) -> Reason | None:
    if code >= 0:
        return None
    if -code == signal.SIGKILL:
        return Reason("WorkerCrashed", "its worker was killed, most likely because the machine ran out of memory")
    return Reason("WorkerCrashed", f"its worker was ended by {signal.Signals(-code).name}")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _resident_bytes(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _end_with(parent: int) -> None:
    """Ask the kernel to kill this process when the guard dies: nobody would look after it."""
    import ctypes

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(CRASHED)
