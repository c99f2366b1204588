"""The local stack from outside: start it, find it, end it, ask how it is."""

import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.azurite import install
from batchimg.local.errors import LocalStackError
from batchimg.local.events import OnEvent, StackReady, StackStarting, WaitingForOther, ignore
from batchimg.local.launch import Launch
from batchimg.local.logs import tail
from batchimg.local.paths import StackPaths, make_private, user_paths
from batchimg.local.ports import Ports, check_wanted
from batchimg.local.processes import ProcessId, descendants, end, is_alive
from batchimg.local.running import Stack, StackLogs, StackProcesses, find, stack_of
from batchimg.local.state import Phase, load_state
from batchimg.local.status import ServiceStatus, StackStatus, status
from batchimg_worker.version import __version__

__all__ = [
    "ServiceStatus",
    "Stack",
    "StackLogs",
    "StackOptions",
    "StackProcesses",
    "StackStatus",
    "down",
    "find",
    "status",
    "up",
]

_ANY_PORTS = Ports()

_START_SECONDS = 60.0
_RESTART_SECONDS = 15.0
# A supervisor gives its services 6 s; together these two stay under the 10 s that `down` may take.
_GRACE_SECONDS = 11.0
_KILLED_GRACE_SECONDS = 1.0
_LOCK_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How to start the stack. A port of 0 is chosen; after `idle_minutes` without use it ends itself."""

    ports: Ports = _ANY_PORTS
    idle_minutes: float = 30.0


def up(options: StackOptions = StackOptions(), on_event: OnEvent = ignore) -> Stack:
    """The running stack, started if there is none; returns when blob, queue and Batch answer.

    Many callers at once get the same stack. A stack of another Python environment or version is started again
    from this one, with the same ports and data. Raises LocalStackError.
    """
    if not options.idle_minutes > 0:
        raise LocalStackError(
            f"idle_minutes is {options.idle_minutes:g}, which would end the stack at once.",
            hint="Use a number above 0; `batchimg local down` ends the stack.",
        )
    paths = user_paths()
    make_private(paths.home, "BATCHIMG_HOME")
    _mark_use(paths)
    running = find()
    if running is not None and _fits(running, options):
        return running
    with _lock(paths, on_event):
        running = _settled(paths)
        if running is not None and _fits(running, options):
            return running
        return _start(paths, options, on_event)


def down(*, delete: bool = False) -> bool:
    """End the stack within 10 s and say whether something ran; `delete` also deletes what it stores."""
    paths = user_paths()
    if not paths.home.is_dir():
        return False
    with _lock(paths, ignore):
        ran = _end_leftovers(paths)
        if delete:
            try:
                if paths.data.exists():
                    shutil.rmtree(paths.data)
            except OSError as error:
                raise LocalStackError(
                    f"The folder {paths.data} cannot be deleted: {error.strerror or error}.",
                    hint="Nothing runs in it any more: delete it yourself.",
                ) from error
        return ran


def _start(paths: StackPaths, options: StackOptions, on_event: OnEvent) -> Stack:
    azurite = install(on_event)
    state = load_state(paths.state_file)
    _end_leftovers(paths)
    check_wanted(options.ports)
    for folder in (paths.data, paths.azurite, paths.batch, paths.logs):
        make_private(folder, "BATCHIMG_HOME")
    on_event(StackStarting(paths.supervisor_log))
    started = time.monotonic()
    reader, writer = os.pipe()
    launch = Launch(
        home=paths.home,
        node=azurite.node,
        azurite=azurite.script,
        token=secrets.token_hex(8),
        idle_seconds=options.idle_minutes * 60,
        wanted=options.ports,
        last=state.ports if state else _ANY_PORTS,
        ready_fd=writer,
    )
    with os.fdopen(reader, "rb"):
        _spawn(launch, paths.supervisor_log)
        decided = select.poll()  # select.select refuses the descriptors of a process with many open files
        decided.register(reader)
        decided.poll(_START_SECONDS * 1000)
    stack = _launched(paths, launch.token)
    on_event(StackReady(time.monotonic() - started))
    return stack


def _spawn(launch: Launch, log: Path) -> None:
    """Start the supervisor in its own session; it outlives this process."""
    try:
        with log.open("ab") as output:
            done = subprocess.run(  # noqa: S603 - our own command line
                launch.command(),
                check=False,
                cwd=launch.home,
                pass_fds=(launch.ready_fd,),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_START_SECONDS,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalStackError(f"The local stack could not be started: {error}.", hint=f"Its log: {log}") from error
    finally:
        os.close(launch.ready_fd)
    if done.returncode != 0:
        raise LocalStackError(
            f"The local stack could not be started (exit code {done.returncode}).",
            hint=f"Its log says why: {log}",
        )


def _launched(paths: StackPaths, token: str) -> Stack:
    state = load_state(paths.state_file)
    if state is not None and state.token == token and state.phase is Phase.RUNNING:
        return stack_of(paths, state)
    reason = state.reason if state is not None and state.token == token else tail(paths.supervisor_log)
    raise LocalStackError(
        f"The local stack did not come up: {reason or 'it did not answer in time'}.",
        hint=f"Run the command again; the logs are in {paths.logs}.",
    )


def _settled(paths: StackPaths) -> Stack | None:
    """The running stack, after waiting for a restart or an end that is under way."""
    deadline = time.monotonic() + _RESTART_SECONDS
    while time.monotonic() < deadline:
        running = find()
        state = load_state(paths.state_file)
        if running is not None or state is None or not is_alive(state.supervisor):
            return running
        time.sleep(0.05)
    return None


def _fits(running: Stack, options: StackOptions) -> bool:
    """Whether the running stack is what was asked for; False if it may be replaced; else LocalStackError."""
    for (name, wanted), has in zip(options.ports.named(), running.ports.numbers(), strict=True):
        if wanted not in (0, has):
            raise LocalStackError(
                f"The local stack runs already, with the {name} port {has} instead of {wanted}.",
                hint="Run `batchimg local down` first, or leave the port out.",
            )
    if (running.environment, running.version) == (sys.prefix, __version__):
        return True
    if descendants(running.processes.batch):
        raise LocalStackError(
            f"The local stack is running tasks for another installation of batchimg ({running.environment}).",
            hint="Wait for them, or run `batchimg local down`, then this command again.",
        )
    return False


def _end_leftovers(paths: StackPaths) -> bool:
    """End the supervisor, and what one that was killed left behind; whether anything ran."""
    state = load_state(paths.state_file)
    supervisor = _recorded_supervisor(paths)
    known = {*(state.processes if state else ()), *([supervisor] if supervisor else ())}
    running = [process for process in known if is_alive(process)]
    supervisors = [each for each in running if each in (supervisor, state.supervisor if state else None)]
    services = [each for each in running if each not in supervisors]
    below = [task for process in services for task in descendants(process.pid)]
    end(supervisors, _GRACE_SECONDS)
    end(services, _KILLED_GRACE_SECONDS if supervisors else _GRACE_SECONDS)
    end(below, _KILLED_GRACE_SECONDS)
    return bool(running)


def _recorded_supervisor(paths: StackPaths) -> ProcessId | None:
    try:
        said = json.loads(paths.supervisor_file.read_bytes())
        return ProcessId(int(said["pid"]), str(said["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mark_use(paths: StackPaths) -> None:
    try:
        paths.last_use.touch(mode=0o600)
    except OSError as error:
        raise LocalStackError(
            f"The folder {paths.home} cannot be written to: {error.strerror or error}.",
            hint="Set BATCHIMG_HOME to a folder that you may write to.",
        ) from error


@contextmanager
def _lock(paths: StackPaths, on_event: OnEvent) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(paths.up_lock, mode=0o600)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_event(WaitingForOther("starting the local stack"))
            lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.05)
    except Timeout as error:
        raise LocalStackError(
            f"Another batchimg has held {paths.up_lock} for {_LOCK_SECONDS / 60:.0f} minutes.",
            hint="End that process and run the command again.",
        ) from error
    except OSError as error:
        raise LocalStackError(
            f"The file {paths.up_lock} cannot be locked: {error.strerror or error}.",
            hint="Set BATCHIMG_HOME to a folder on a local disk that you may write to.",
        ) from error
    try:
        yield
    finally:
        lock.release()
