"""Real processes: each task is a session of its own, and its whole group dies with it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from batch_emulator.clock import Clock, Timer
from batch_emulator.leftovers import (
    TASK_MARK,
    become_subreaper,
    children,
    kill_orphan,
    signal_group,
    start_time,
)

GRACE_SECONDS = 3.0
"""From SIGTERM to SIGKILL when a task is ended from outside."""


class LaunchError(Exception):
    """The command could not be started; `not_found` says that its program does not exist."""

    def __init__(self, reason: str, *, not_found: bool) -> None:
        super().__init__(reason)
        self.not_found = not_found


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: no shell is involved."""

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
        raise LaunchError(f"the command line cannot be split: {error}", not_found=False) from error
    if not arguments:
        raise LaunchError("the command line is empty", not_found=False)
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

    def launch(self, command: Command, ended: Callable[[int], None]) -> Process:
        """Start a command; `ended` gets its exit code later (128 + n for signal n). LaunchError if not."""

    def close(self) -> None:
        """Kill everything that still runs and wait for it."""


class _GroupProcess:
    def __init__(self, launcher: ProcessLauncher, popen: subprocess.Popen[bytes], mark_value: str) -> None:
        self.popen = popen
        self.mark_value = mark_value
        self._launcher = launcher
        self._timer: Timer | None = None
        self.mark = f"{popen.pid}:{start_time(popen.pid)}"

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        if self.popen.returncode is not None:
            return
        if grace <= 0:
            signal_group(self.popen.pid, signal.SIGKILL)
        elif self._timer is None:
            signal_group(self.popen.pid, signal.SIGTERM)
            self._timer = self._launcher.clock.call_later(grace, self._kill)

    def _kill(self) -> None:
        if self.popen.returncode is None:
            signal_group(self.popen.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Kill what is left of the group while the leader's pid is still taken, then collect the leader."""
        signal_group(self.popen.pid, signal.SIGKILL)
        if self._timer is not None:
            self._timer.cancel()
        code = self.popen.wait()
        return code if code >= 0 else 128 - code


class ProcessLauncher:
    """Starts processes with vfork and learns of their end through pidfds on the running loop.

    With `adopt`, for which this process must have no other children, it also finds and kills what a task
    moved out of its process group.
    """

    def __init__(self, clock: Clock, *, adopt: bool = False) -> None:
        self.clock = clock
        self._running: dict[int, _GroupProcess] = {}
        self._adopt = adopt and become_subreaper()

    def launch(self, command: Command, ended: Callable[[int], None]) -> Process:
        """Start a command in its own session, with nothing inherited but what `command` says."""
        with open(command.stdout, "wb", 0) as stdout, open(command.stderr, "wb", 0) as stderr:  # noqa: PTH123 - fast
            try:
                popen = subprocess.Popen(  # noqa: S603 - running commands is what a node is for
                    command.arguments,
                    cwd=command.cwd,
                    env=command.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                    close_fds=False,
                )
            except (OSError, ValueError) as error:
                missing = isinstance(error, FileNotFoundError)
                raise LaunchError(str(error), not_found=missing) from error
        process = _GroupProcess(self, popen, command.environment.get(TASK_MARK, ""))
        pidfd = os.pidfd_open(popen.pid)
        self._running[pidfd] = process
        asyncio.get_running_loop().add_reader(pidfd, self._ended, pidfd, ended)
        return process

    def _ended(self, pidfd: int, ended: Callable[[int], None]) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        process = self._running.pop(pidfd)
        os.close(pidfd)
        code = process.reap()
        if self._adopt:
            self._sweep(process.mark_value)
        ended(code)

    def _sweep(self, mark_value: str, tries: int = 20) -> None:
        """Kill what a task left outside of its group; its children become ours in turn, so look again."""
        own = {process.popen.pid for process in self._running.values()}
        killed = [kill_orphan(pid, mark_value) for pid in children() if pid not in own]
        if any(killed) and tries:
            self.clock.call_later(0.01, lambda: self._sweep(mark_value, tries - 1))

    def close(self) -> None:
        """Kill all groups; their `ended` is not called any more."""
        loop = asyncio.get_running_loop()
        marks = [process.mark_value for process in self._running.values()] if self._adopt else []
        for process in self._running.values():
            process.stop(grace=0)
        for pidfd, process in self._running.items():
            loop.remove_reader(pidfd)
            process.reap()
            os.close(pidfd)
        self._running.clear()
        for _ in range(3):
            for pid in children() if marks else ():
                for mark in marks:
                    kill_orphan(pid, mark)


def close_inherited_files() -> None:
    """Mark all open files above standard error as not inheritable, so that no task gets them."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) > 2:
            with suppress(OSError):
                os.set_inheritable(int(name), False)
