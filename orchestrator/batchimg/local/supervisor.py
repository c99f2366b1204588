"""The background process that owns the stack: `python -m batchimg.local.supervisor`, started by `up`.

It starts Azurite and the Batch emulator, starts them again when they die, and ends them when it is told to
(SIGTERM, SIGINT), when nobody has used them for a while, or when it dies itself.
"""

import contextlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import sys
import sysconfig
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from batchimg.local.activity import Activity
from batchimg.local.azurite import ACCOUNT, Azurite, azurite_environment
from batchimg.local.errors import LocalStackError
from batchimg.local.launch import Launch, parse
from batchimg.local.logs import trim
from batchimg.local.paths import StackPaths, write_private
from batchimg.local.ports import HOST, Ports, choose, is_free
from batchimg.local.processes import ProcessId, descendants, end, identify
from batchimg.local.services import AzuriteService, BatchReady, BatchService, Program, Service, batch_program
from batchimg.local.state import Phase, ServiceState, StackState
from batchimg_worker.version import __version__

POLL_SECONDS = 2.0

_START_TRIES = 5
_START_SECONDS = 45.0
_GRACE_SECONDS = 4.5  # each; tasks get 2.5 of them
_LOCK_SECONDS = 10.0

log = logging.getLogger("batchimg.local.supervisor")


class CannotRunError(Exception):
    """A service does not come up, or does not stay up; the text says which and why."""


class PortLostError(Exception):
    """Somebody took a port between its choice and its use."""


class Signals:
    """Wakes the supervisor when it is told to stop and when a child ends: it polls for neither."""

    def __init__(self) -> None:
        self.stop = False
        self._reader, self._writer = socket.socketpair()
        for end_of_pair in (self._reader, self._writer):
            end_of_pair.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def wait(self, seconds: float) -> None:
        """Wait for a signal, but not longer than `seconds`."""
        if not self.stop and select.select([self._reader], [], [], max(0.0, seconds))[0]:
            self._reader.recv(4096)

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self.stop = True


class Supervisor:
    """One run of the stack, from its start to its end."""

    def __init__(self, launch: Launch, signals: Signals, on_running: Callable[[], None]) -> None:
        self._launch, self._signals, self._on_running = launch, signals, on_running
        self._paths = StackPaths(launch.home)
        self._key = storage_key(self._paths.storage_key_file)
        self._started_at = time.time()
        self._ports = launch.last
        self._ready = BatchReady("", "", "")
        self._azurite: AzuriteService
        self._batch: BatchService
        self._services: tuple[Service, ...] = ()
        self._retry_at: dict[str, float] = {}

    def run(self) -> None:
        """Start, watch, end; the state file says how far it is and, in the end, why it ended."""
        self._save(Phase.STARTING, "")
        try:
            self._start()
            self._save(Phase.RUNNING, "")
            self._on_running()
            phase, reason = Phase.STOPPED, self._watch()
        except (CannotRunError, LocalStackError) as error:
            phase, reason = Phase.FAILED, str(error)
        except Exception as error:
            log.exception("unexpected")
            phase, reason = Phase.FAILED, f"{type(error).__name__}: {error}"
        log.info("ending: %s", reason)
        self._end_services()
        if self._paths.home.is_dir():
            self._save(phase, reason)

    def _start(self) -> None:
        last = self._launch.last
        for _ in range(_START_TRIES):
            self._ports = choose(self._launch.wanted, last)
            self._make_services()
            try:
                for service in self._services:
                    service.start()
                self._save(Phase.STARTING, "")
                self._wait_until_ready()
            except PortLostError as error:
                log.warning("%s; trying other ports", error)
                self._end_services()
                last = Ports()
            else:
                log.info("running on %s", self._ports)
                return
        raise CannotRunError(f"other programs took every port that was tried ({_START_TRIES} times)")

    def _make_services(self) -> None:
        paths, ports, launch = self._paths, self._ports, self._launch
        write_private(paths.node_environment_file, json.dumps(node_environment(ports.blob, self._key)))
        command = Azurite(launch.node, launch.azurite).command(ports, paths.azurite)
        self._azurite = AzuriteService(Program(command, azurite_environment(self._key)), paths.azurite_log)
        program = batch_program(ports.batch, paths.batch, paths.node_environment_file, paths.ready_file)
        self._batch = BatchService(program, paths.batch_log, paths.ready_file)
        self._services = (self._azurite, self._batch)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        waiting = list(self._services)
        while waiting and not self._signals.stop:
            for service in list(waiting):
                if service.exit_code() is not None:
                    raise self._start_error(service)
                if service.is_ready():
                    waiting.remove(service)
            if time.monotonic() > deadline:
                raise CannotRunError(f"{waiting[0].name} did not answer within {_START_SECONDS:.0f} s")
            self._signals.wait(0.02)
        self._ready = self._batch.ready() or self._ready

    def _start_error(self, service: Service) -> Exception:
        ports = (self._ports.batch,) if service is self._batch else (self._ports.blob, self._ports.queue)
        fixed = set(self._launch.wanted.numbers())
        taken = [port for port in ports if not is_free(port)]
        if taken and not fixed.intersection(taken):
            return PortLostError(f"port {taken[0]} was taken meanwhile")
        return CannotRunError(service.last_words())

    def _watch(self) -> str:
        """Keep the services alive until it is time to end; returns why."""
        activity = Activity((self._azurite.log, self._batch.log), self._paths.last_use)
        poll = min(POLL_SECONDS, self._launch.idle_seconds / 4)
        while not self._signals.stop:
            if not self._paths.state_file.exists():
                return f"{self._paths.state_file} is gone, so nobody could find it again"
            for service in self._services:
                self._revive(service)
                trim(service.log)
            if activity.idle_seconds() >= self._launch.idle_seconds and self._nobody_comes(activity):
                return f"nobody used it for {self._launch.idle_seconds / 60:g} minutes"
            retries = [at - time.monotonic() for at in self._retry_at.values()]
            self._signals.wait(min([poll, *retries]))
        return "it was told to stop"

    def _nobody_comes(self, activity: Activity) -> bool:
        """Announce the end, then look once more: whoever asked for the stack before that keeps it."""
        if self._batch.process_id is not None and descendants(self._batch.process_id.pid):
            activity.refresh()
            return False
        self._save(Phase.STOPPING, "")
        if activity.idle_seconds() >= self._launch.idle_seconds:
            return True
        self._save(Phase.RUNNING, "")
        return False

    def _revive(self, service: Service) -> None:
        if service.exit_code() is None:
            self._note_ready(service)
            return
        now = time.monotonic()
        if service.name not in self._retry_at:
            delay = service.policy.died(service.lived_seconds())
            log.warning("%s", service.last_words())
            if delay is None:
                raise CannotRunError(f"given up after several quick deaths: {service.last_words()}")
            self._retry_at[service.name] = now + delay
        if now >= self._retry_at[service.name]:
            del self._retry_at[service.name]
            service.restarts += 1
            service.start()
            log.info("%s started again", service.name)
            self._save(Phase.RUNNING, "")

    def _note_ready(self, service: Service) -> None:
        ready = service.ready() if isinstance(service, BatchService) else None
        if ready is not None and ready != self._ready:
            self._ready = ready
            self._save(Phase.RUNNING, "")

    def _end_services(self) -> None:
        """Batch first: its tasks put their records into blob storage when they are told to end."""
        for service in reversed(self._services):
            if service.process_id is not None:
                tasks = descendants(service.process_id.pid)
                if end([service.process_id], _GRACE_SECONDS):
                    log.warning("%s did not end by itself and was killed", service.name)
                end(tasks, 0.5)
            service.exit_code()

    def _save(self, phase: Phase, reason: str) -> None:
        StackState(
            token=self._launch.token,
            phase=phase,
            reason=reason,
            supervisor=_myself(),
            services=tuple(
                ServiceState(service.name, service.process_id, service.restarts, service.log)
                for service in self._services
                if service.process_id is not None
            ),
            ports=self._ports,
            storage_account=ACCOUNT,
            storage_key=self._key,
            batch_endpoint=self._ready.endpoint,
            batch_account=self._ready.account,
            batch_key=self._ready.key,
            started_at=self._started_at,
            environment=sys.prefix,
            version=__version__,
        ).save(self._paths.state_file)


def storage_key(file: Path) -> str:
    """The storage account's key (base64 of 64 bytes), made at random the first time.

    Azurite's well-known key would let every user of this machine read and write these blobs.
    """
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        key = b64encode(secrets.token_bytes(64)).decode("ascii")
        write_private(file, key)
        return key


def node_environment(blob_port: int, key: str) -> dict[str, str]:
    """What every task finds in its environment: this Python environment's programs, and where the blobs are.

    On Azure the node's managed identity takes the place of the key.
    """
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {
        "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{path}",
        "LANG": "C.UTF-8",
        "BATCHIMG_STORAGE_ENDPOINT": f"http://{HOST}:{blob_port}/{ACCOUNT}",
        "BATCHIMG_STORAGE_KEY": key,
    }


def main(arguments: Sequence[str]) -> int:
    """Run one stack in the background; returns at once in the process that was called."""
    launch = parse(arguments)
    if os.fork():
        return 0  # the caller waits for this process only, and the supervisor has no parent that must reap it
    os.set_inheritable(launch.ready_fd, False)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signals = Signals()
    paths = StackPaths(launch.home)
    with os.fdopen(launch.ready_fd, "wb") as decided:
        try:
            with FileLock(paths.supervisor_lock, timeout=_LOCK_SECONDS):
                trim(paths.supervisor_log)
                write_private(paths.supervisor_file, json.dumps(asdict(_myself())))
                Supervisor(launch, signals, lambda: _tell(decided)).run()
        except Timeout:
            log.error("another supervisor runs in %s", launch.home)
            return 1
    return 0


def _tell(decided: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # whoever started the stack may have been interrupted meanwhile
        decided.write(b"running")
        decided.close()


def _myself() -> ProcessId:
    return identify(os.getpid()) or ProcessId(os.getpid(), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
