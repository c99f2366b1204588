"""A few threads that start programs, so that the event loop never waits for the kernel.

Each *lane* has threads of its own: what a thread may touch is settled once for all programs that it starts.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from batch_emulator.leftovers import start_time
from batch_emulator.posix_spawn import Program, spawn

THREADS_A_LANE = 4
IDLE_SECONDS = 10.0
THREAD_NAME = "batch-emulator-spawner"


@dataclass(frozen=True, slots=True)
class Spawned:
    """A program that runs: its pid, a descriptor that becomes readable at its end, and its start time."""

    pid: int
    pidfd: int
    started: str


class NotSpawnedError(Exception):
    """A program could not be started; `code` is Azure's word for why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


Outcome = Spawned | NotSpawnedError
Fresh = Callable[[], bool]
"""Whether a thread may go on: if not, another takes its place."""
Confine = Callable[[str], Fresh]
"""Settles, for the thread that calls it, what the programs of a lane may touch."""


def _always() -> bool:
    return True


@dataclass(slots=True)
class _Order:
    program: Program
    tell: Callable[[Outcome], None]


@dataclass
class _Lane:
    confine: Confine
    name: str
    begin: Callable[[Callable[[], None]], None]
    orders: queue.SimpleQueue[_Order] = field(default_factory=queue.SimpleQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: int = 0
    idle: int = 0

    def put(self, order: _Order) -> None:
        with self.lock:
            self.orders.put(order)
            if self.idle >= self.orders.qsize() or self.threads == THREADS_A_LANE:
                return
            self.threads += 1
        self.begin(self.work)

    def work(self) -> None:
        refusal: NotSpawnedError | None = None
        fresh = _always
        try:
            fresh = self.confine(self.name)
        except OSError as error:
            refusal = NotSpawnedError("CommandLaunchFailed", f"the task cannot be confined: {error}")
        while (order := self._next()) is not None:
            if refusal is None and not fresh():
                with self.lock:
                    self.threads -= 1
                self.put(order)
                return
            order.tell(refusal or _start(order.program))

    def _next(self) -> _Order | None:
        with suppress(queue.Empty):
            return self.orders.get_nowait()
        with self.lock:
            self.idle += 1
        try:
            return self.orders.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            with self.lock:
                if self.orders.empty():
                    self.threads -= 1
                    return None
            return self.orders.get()
        finally:
            with self.lock:
                self.idle -= 1


class Spawner:
    """Starts programs in threads; `tell` is called there with what became of each."""

    def __init__(self, confine: Confine = lambda _: _always) -> None:
        self._confine = confine
        self._lanes: dict[str, _Lane] = {}
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._starter: threading.Thread | None = None

    def _begin(self, work: Callable[[], None]) -> None:
        """Start a thread. One that is confined itself cannot: its own threads would be confined as it is."""
        if self._starter is None:
            self._starter = threading.Thread(target=self._start_threads, name=THREAD_NAME, daemon=True)
            self._starter.start()
        self._wanted.put(work)

    def _start_threads(self) -> None:
        while True:
            threading.Thread(target=self._wanted.get(), name=THREAD_NAME, daemon=True).start()

    def start(self, lane: str, program: Program, tell: Callable[[Outcome], None]) -> None:
        """Start a program in a lane, which is made at its first use by calling `confine` in its threads."""
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane(self._confine, lane, self._begin)
        found.put(_Order(program, tell))


def _start(program: Program) -> Outcome:
    try:
        _make_directory(program.cwd)
    except OSError as error:
        return NotSpawnedError("ResourceDirectoryCreateFailed", str(error))
    path = _found(program)
    if path is None:
        name = program.arguments[0]
        return NotSpawnedError("CommandProgramNotFound", f"[Errno 2] No such file or directory: {name!r}")
    try:
        pid = spawn(program if path == program.file else _with_file(program, path))
    except (OSError, ValueError) as error:
        return NotSpawnedError("CommandLaunchFailed", str(error))
    return Spawned(pid, os.pidfd_open(pid), start_time(pid))


def _with_file(program: Program, path: str) -> Program:
    return Program(path, program.arguments, program.environment, program.cwd, program.stdout, program.stderr)


def _make_directory(path: str) -> None:
    """The working directory of a task, in as few calls as it takes."""
    parent = path.rpartition("/")[0]
    try:
        with suppress(FileExistsError):
            os.mkdir(parent)  # noqa: PTH102 - text, and fast
        with suppress(FileExistsError):
            os.mkdir(path)  # noqa: PTH102
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103


def _found(program: Program) -> str | None:
    """The file that a program's name means, with the PATH that the program will see; None if there is none."""
    name = program.file
    if "/" in name:
        return name if os.path.exists(os.path.join(program.cwd, name)) else None  # noqa: PTH110, PTH118 - text
    refused = None
    for folder in program.environment.get("PATH", os.defpath).split(":"):
        path = f"{folder or '.'}/{name}"
        if os.path.isfile(path):  # noqa: PTH113
            if os.access(path, os.X_OK):
                return path
            refused = path
    return refused
