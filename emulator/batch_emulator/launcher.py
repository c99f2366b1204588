"""Real processes: each task is a session of its own, and its whole group dies with it."""

from __future__ import annotations

import asyncio
import os
import queue
import shlex
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from batch_emulator.clock import Clock, Timer
from batch_emulator.leftovers import (
    TASK_MARK,
    become_subreaper,
    children,
    kill_orphan,
    signal_group,
)
from batch_emulator.posix_spawn import Program
from batch_emulator.spawner import Outcome, Spawned, Spawner

GRACE_SECONDS = 3.0
"""From SIGTERM to SIGKILL when a task is ended from outside."""
SWEEP_SECONDS = 0.01
CLOSE_SECONDS = 2.0
NOT_FOUND, NOT_STARTED = 127, 126
"""Exit codes, as a shell gives them, for callers that do not ask to be told of a failed start."""
PROGRAM_NOT_FOUND = "CommandProgramNotFound"
NODE_ROOT = "AZ_BATCH_NODE_ROOT_DIR"
LAUNCH_FAILED = "CommandLaunchFailed"


class LaunchError(Exception):
    """The command could not be started; `code` is Azure's word for why."""

    def __init__(self, reason: str, *, code: str = LAUNCH_FAILED) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def not_found(self) -> bool:
        """Whether the program does not exist."""
        return self.code == PROGRAM_NOT_FOUND


Failed = Callable[[LaunchError], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: no shell is involved. The working directory is made."""

    arguments: list[str]
    cwd: str
    environment: Mapping[str, str]
    stdout: str
    stderr: str


def split_command(line: str) -> list[str]:
    """The arguments of a command line, quoted as in a shell but with no shell involved; or LaunchError."""
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise LaunchError(f"the command line cannot be split: {error}") from error
    if not arguments:
        raise LaunchError("the command line is empty")
    return arguments


class Process(Protocol):
    """A started command."""

    @property
    def mark(self) -> str:
        """Pid and start time: enough to find the group again after a restart, and nothing else."""

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask the group to end, and kill it after `grace` seconds; 0 kills at once."""


class Launcher(Protocol):
    """Starts commands and tells when they have ended."""

    def launch(self, command: Command, ended: Callable[[int], None], failed: Failed | None = None) -> Process:
        """Start a command; `ended` gets its exit code later (128 + n for signal n).

        If it cannot be started, either LaunchError is raised or `failed` is called later with it.
        """

    def close(self) -> None:
        """Kill everything that still runs and wait for it."""


class _GroupProcess:
    """A command that is being started, or runs; all of it happens on the event loop."""

    def __init__(self, launcher: ProcessLauncher, mark_value: str) -> None:
        self.mark_value = mark_value
        self.mark = ""
        self.spawned: Spawned | None = None
        self._launcher = launcher
        self._timer: Timer | None = None
        self._stop_with: float | None = None

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        if self.spawned is None:
            self._stop_with = grace if self._stop_with is None else min(grace, self._stop_with)
        elif grace <= 0:
            signal_group(self.spawned.pid, signal.SIGKILL)
        elif self._timer is None:
            signal_group(self.spawned.pid, signal.SIGTERM)
            self._timer = self._launcher.clock.call_later(grace, lambda: self.stop(0))

    def begun(self, spawned: Spawned) -> None:
        self.spawned = spawned
        self.mark = f"{spawned.pid}:{spawned.started}"
        if self._stop_with is not None:
            self.stop(self._stop_with)

    def reap(self) -> int:
        """Kill what is left of the group while the leader's pid is still taken, then collect the leader."""
        if self._timer is not None:
            self._timer.cancel()
        if self.spawned is None:
            return 0
        signal_group(self.spawned.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.spawned.pid, 0)[1])
        os.close(self.spawned.pidfd)
        return code if code >= 0 else 128 - code


class ProcessLauncher:
    """Starts processes in threads and learns of their end through pidfds on the running loop.

    With `adopt`, for which this process must have no other children, it also finds and kills what a task
    moved out of its process group.
    """

    def __init__(self, clock: Clock, *, adopt: bool = False, spawner: Spawner | None = None) -> None:
        self.clock = clock
        self._spawner = spawner or Spawner()
        self._starting: set[_GroupProcess] = set()
        self._running: dict[int, _GroupProcess] = {}
        self._adopt = adopt and become_subreaper()
        self._told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._woken = False
        self._closed = False
        self._sweeps: set[str] = set()

    def launch(self, command: Command, ended: Callable[[int], None], failed: Failed | None = None) -> Process:
        """Start a command in its own session, with nothing inherited but what `command` says."""
        process = _GroupProcess(self, command.environment.get(TASK_MARK, ""))
        self._starting.add(process)
        loop = asyncio.get_running_loop()
        arguments = command.arguments
        program = Program(arguments[0], arguments, command.environment, command.cwd, command.stdout, command.stderr)

        def tell(outcome: Outcome) -> None:
            self._told.put(partial(self._begun, process, outcome, (ended, failed)))
            if not self._woken:
                self._woken = True
                with suppress(RuntimeError):  # the loop is closed: the emulator ends
                    loop.call_soon_threadsafe(self._listen)

        self._spawner.start(command.environment.get(NODE_ROOT, ""), program, tell)
        return process

    def _listen(self) -> None:
        self._woken = False
        while not self._told.empty():
            self._told.get()()

    def _begun(
        self, process: _GroupProcess, outcome: Outcome, calls: tuple[Callable[[int], None], Failed | None]
    ) -> None:
        self._starting.discard(process)
        ended, failed = calls
        if isinstance(outcome, Spawned):
            process.begun(outcome)
            self._running[outcome.pidfd] = process
            asyncio.get_running_loop().add_reader(outcome.pidfd, self._ended, outcome.pidfd, ended)
        elif self._closed:
            return
        elif failed is not None:
            failed(LaunchError(str(outcome), code=outcome.code))
        else:
            ended(NOT_FOUND if outcome.code == PROGRAM_NOT_FOUND else NOT_STARTED)

    def _ended(self, pidfd: int, ended: Callable[[int], None]) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        process = self._running.pop(pidfd)
        code = process.reap()
        if self._adopt:
            self._sweep_soon(process.mark_value)
        ended(code)

    def _sweep_soon(self, mark_value: str) -> None:
        if not self._sweeps:
            self.clock.call_later(SWEEP_SECONDS, self._look)
        self._sweeps.add(mark_value)

    def _look(self, tries: int = 20) -> None:
        """See what tasks left outside of their groups; what is just being started is not to be taken for it."""
        marks, self._sweeps = self._sweeps, set()
        found = self._strangers()
        if found:
            self._sweep(marks, found, set(self._starting), tries)

    def _strangers(self) -> list[int]:
        own = {process.spawned.pid for process in self._running.values() if process.spawned}
        return [pid for pid in children() if pid not in own]

    def _sweep(self, marks: set[str], found: list[int], unsure: set[_GroupProcess], tries: int) -> None:
        """Kill orphans with one of the marks; their children become ours in turn, so look again."""
        if unsure & self._starting:
            again = partial(self._sweep, marks, found, unsure, tries)
            self.clock.call_later(SWEEP_SECONDS, again)
            return
        own = {process.spawned.pid for process in self._running.values() if process.spawned}
        killed = [kill_orphan(pid, mark) for pid in found if pid not in own for mark in marks]
        if any(killed) and tries:
            self._sweeps |= marks
            self.clock.call_later(2 * SWEEP_SECONDS, partial(self._look, tries - 1))

    def close(self) -> None:
        """Kill all groups; their `ended` is not called any more."""
        self._closed = True
        self._wait_for_starting()
        loop = asyncio.get_running_loop()
        marks = [process.mark_value for process in self._running.values()] if self._adopt else []
        for process in self._running.values():
            process.stop(grace=0)
        for pidfd, process in self._running.items():
            loop.remove_reader(pidfd)
            process.reap()
        self._running.clear()
        for _ in range(3):
            for pid in children() if marks else ():
                for mark in marks:
                    kill_orphan(pid, mark)

    def _wait_for_starting(self) -> None:
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._starting and time.monotonic() < deadline:
            with suppress(queue.Empty):
                self._told.get(timeout=0.1)()


def close_inherited_files() -> None:
    """Mark all open files above standard error as not inheritable, so that no task gets them."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) > 2:
            with suppress(OSError):
                os.set_inheritable(int(name), False)
