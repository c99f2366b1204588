"""The supervisor's children: Azurite and the Batch emulator, each a process with a log."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.azurite import READY_LINE
from batchimg.local.logs import tail, trim
from batchimg.local.ports import HOST
from batchimg.local.processes import ProcessId, identify
from batchimg.local.state import ServiceName

BATCH_ACCOUNT = "batchlocal"

_PR_SET_PDEATHSIG = 1


class RestartPolicy:
    """How long to wait before a service that died is started again, and when to give up."""

    def __init__(self, quick_seconds: float = 20.0, delays: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)) -> None:
        self._quick_seconds, self._delays = quick_seconds, delays
        self._quick_deaths = 0

    def died(self, lived_seconds: float) -> float | None:
        """Seconds to wait; None after too many quick deaths in a row."""
        self._quick_deaths = self._quick_deaths + 1 if lived_seconds < self._quick_seconds else 1
        return self._delays[self._quick_deaths - 1] if self._quick_deaths <= len(self._delays) else None


@dataclass(frozen=True, slots=True)
class Program:
    """What a service runs."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


class Service(ABC):
    """One child process, started any number of times with the same program, port and folder."""

    name: ServiceName

    def __init__(self, program: Program, log: Path) -> None:
        self._program = program
        self.log = log
        self.policy = RestartPolicy()
        self.restarts = 0
        self.process_id: ProcessId | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the process of the latest start has said that it listens."""

    def start(self) -> None:
        """Start the process; it ends (SIGTERM) when this process does, however that ends."""
        trim(self.log)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self._program.command,
                env=dict(self._program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 - this process has one thread
            )
        self._started_at = time.monotonic()
        self.process_id = identify(self._process.pid) or ProcessId(self._process.pid, "")

    def exit_code(self) -> int | None:
        """The exit code of the latest process; None while it runs. Reaps it."""
        return None if self._process is None else self._process.poll()

    def lived_seconds(self) -> float:
        """Time since the latest start."""
        return time.monotonic() - self._started_at

    def last_words(self) -> str:
        """Why it ended, as far as its log tells."""
        code = self.exit_code()
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return f"{self.name} {how}; the end of {self.log}: {tail(self.log) or 'empty'}"


class AzuriteService(Service):
    """Azurite says in its log that it listens."""

    name = "azurite"
    _offset = 0

    def start(self) -> None:
        """Start the process."""
        trim(self.log)
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        super().start()

    def is_ready(self) -> bool:
        """Whether all its ports are open."""
        with self.log.open("rb") as file:
            file.seek(self._offset)
            return READY_LINE.encode() in file.read(65536)


@dataclass(frozen=True, slots=True)
class BatchReady:
    """What the Batch emulator says when it answers."""

    endpoint: str
    account: str
    key: str


class BatchService(Service):
    """The Batch emulator writes a file when it listens."""

    name = "batch"

    def __init__(self, program: Program, log: Path, ready_file: Path) -> None:
        super().__init__(program, log)
        self._ready_file = ready_file

    def start(self) -> None:
        """Start the process."""
        self._ready_file.unlink(missing_ok=True)
        super().start()

    def is_ready(self) -> bool:
        """Whether its port is open."""
        return self.ready() is not None

    def ready(self) -> BatchReady | None:
        """Its endpoint and key, once it answers."""
        try:
            said = json.loads(self._ready_file.read_bytes())
            return BatchReady(str(said["endpoint"]), str(said["account"]), str(said["key"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def batch_program(port: int, folder: Path, node_environment: Path, ready_file: Path) -> Program:
    """The Batch emulator of this Python environment, as a program: the laptop's code never imports it."""
    command = (
        *(sys.executable, "-m", "batch_emulator", "start", "--host", HOST, "--port", str(port)),
        *("--account", BATCH_ACCOUNT, "--data-dir", str(folder)),
        *("--node-environment", str(node_environment), "--ready-file", str(ready_file)),
    )
    kept = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONUTF8")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return Program(command, {**environment, "PYTHONUNBUFFERED": "1"})


def _end_with_parent() -> Callable[[], None] | None:
    """What a child runs before its program: on Linux, ask the kernel for a SIGTERM when the parent dies.

    Elsewhere the next `up` ends what a killed supervisor left behind.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask
