"""Real processes: each task is a session of its own, and its whole group dies with it."""

from __future__ import annotations

import asyncio
import os
import queue
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from batch_emulator.clock import Clock, Timer
from batch_emulator.commands import GRACE_SECONDS, PROGRAM_NOT_FOUND, Command, Failed, LaunchError, Process
from batch_emulator.leftovers import (
    TASK_MARK,
    become_subreaper,
    children,
    kill_orphan,
    signal_group,
)
from batch_emulator.posix_spawn import Program
from batch_emulator.spawner import Outcome, Spawned, Spawner
from batch_emulator.tally import NOTHING, Used

SWEEP_SECONDS = 0.01
CLOSE_SECONDS = 2.0
LAST_SECONDS = 2.5
"""From SIGTERM to SIGKILL when the emulator ends: a worker of batchimg sends its records in two."""
NOT_FOUND, NOT_STARTED = 127, 126
"""Exit codes, as a shell gives them, for callers that do not ask to be told of a failed start."""
NODE_ROOT = "AZ_BATCH_NODE_ROOT_DIR"


class _GroupProcess:
    """A command that is being started, or runs; all of it happens on the event loop."""

    def __init__(self, launcher: ProcessLauncher, mark_value: str, *, lasting: bool) -> None:
        self.mark_value = mark_value
        self.mark = ""
        self.used = NOTHING
        self.lasting = lasting
        self.spawned: Spawned | None = None
        self._launcher = launcher
        self._timer: Timer | None = None
        self._stop_with: float | None = None
        self.is_stopped = False

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        self.is_stopped = True
        if self.spawned is None:
            self._stop_with = grace if self._stop_with is None else min(grace, self._stop_with)
        elif grace <= 0:
            signal_group(self.spawned.pid, signal.SIGKILL)
        elif self._timer is None:
            signal_group(self.spawned.pid, signal.SIGTERM)
            self._timer = self._launcher.clock.call_later(grace, lambda: self.stop(0))

    def end_background(self) -> None:
        self._launcher.end_held(self)

    def wait_for_leader(self) -> int:
        """The exit code of the leader, whose pid stays taken: that keeps the group's number from others."""
        if self._timer is not None:
            self._timer.cancel()
        assert self.spawned is not None
        found = os.waitid(os.P_PID, self.spawned.pid, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status

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
        _, status, usage = os.wait4(self.spawned.pid, 0)
        self.used = Used(usage.ru_utime, usage.ru_stime, usage.ru_inblock, usage.ru_oublock)
        code = os.waitstatus_to_exitcode(status)
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
        self._held: set[_GroupProcess] = set()
        self._adopt = adopt and become_subreaper()
        self._told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._woken = False
        self._closed = False
        self._sweeps: set[str] = set()

    def launch(self, command: Command, ended: Callable[[int], None], failed: Failed | None = None) -> Process:
        """Start a command in its own session, with nothing inherited but what `command` says."""
        process = _GroupProcess(self, command.environment.get(TASK_MARK, ""), lasting=command.lasting)
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
        if process.lasting and not process.is_stopped:
            self._held.add(process)
            ended(process.wait_for_leader())
            return
        code = self._reap(process)
        ended(code)

    def _reap(self, process: _GroupProcess) -> int:
        code = process.reap()
        if self._adopt:
            self._sweep_soon(process.mark_value)
        return code

    def end_held(self, process: _GroupProcess) -> None:
        """End what a lasting command has left in the background."""
        if process in self._held:
            self._held.discard(process)
            self._reap(process)

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
        own = self._own()
        return [pid for pid in children() if pid not in own]

    def _own(self) -> set[int]:
        mine = (*self._running.values(), *self._held)
        return {process.spawned.pid for process in mine if process.spawned}

    def _sweep(self, marks: set[str], found: list[int], unsure: set[_GroupProcess], tries: int) -> None:
        """Kill orphans with one of the marks; their children become ours in turn, so look again."""
        if unsure & self._starting:
            again = partial(self._sweep, marks, found, unsure, tries)
            self.clock.call_later(SWEEP_SECONDS, again)
            return
        own = self._own()
        killed = [kill_orphan(pid, mark) for pid in found if pid not in own for mark in marks]
        if any(killed) and tries:
            self._sweeps |= marks
            self.clock.call_later(2 * SWEEP_SECONDS, partial(self._look, tries - 1))

    def close(self) -> None:
        """End all groups, with a moment for what minds SIGTERM; their `ended` is not called any more."""
        self._closed = True
        self._wait_for_starting()
        self._tell_to_end()
        loop = asyncio.get_running_loop()
        mine = (*self._running.values(), *self._held)
        marks = [process.mark_value for process in mine] if self._adopt else []
        for process in self._running.values():
            process.stop(grace=0)
        for pidfd, process in self._running.items():
            loop.remove_reader(pidfd)
            process.reap()
        for process in self._held:
            process.reap()
        self._running.clear()
        self._held.clear()
        for _ in range(3):
            for pid in children() if marks else ():
                for mark in marks:
                    kill_orphan(pid, mark)

    def _tell_to_end(self) -> None:
        waiting = select.poll()  # as select, but for any number of tasks
        for pidfd, process in self._running.items():
            if process.spawned is not None:
                signal_group(process.spawned.pid, signal.SIGTERM)
                waiting.register(pidfd, select.POLLIN)
        left, deadline = len(self._running), time.monotonic() + LAST_SECONDS
        while left > 0 and (rest := deadline - time.monotonic()) > 0:
            for pidfd, _ in waiting.poll(rest * 1000):
                waiting.unregister(pidfd)
                left -= 1

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
