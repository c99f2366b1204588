"""Listening: uvicorn on a socket of our own, in this thread or in one for tests."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from batch_emulator.account import Settings
from batch_emulator.asgi import App, Front
from batch_emulator.auth import SharedKey
from batch_emulator.oauth import Accept, Gate, Scope, Tokens, issue
from batch_emulator.resource_files import is_loopback
from batch_emulator.service import Emulator, in_memory, write_private
from batch_emulator.window.site import Window

if TYPE_CHECKING:
    from batch_emulator.certificate import Certificate
    from batch_emulator.faults.http import HttpFaults
    from batch_emulator.faults.server import FaultsApp

STOP_SECONDS = 3
TASK_TOKEN_SECONDS = 180 * 86_400
"""As long as a task can live; its token is of no use after its end."""


class ListenError(Exception):
    """The emulator cannot listen where it was told to."""


def listen(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """A bound socket. ListenError when the port is taken, or the host is not this machine only."""
    if not (allow_remote or is_loopback(host)):
        raise ListenError(
            f"host {host!r} can be reached from other machines, and tasks are commands: "
            "use 127.0.0.1, or say --allow-remote"
        )
    family = socket.AF_INET6 if _is_ipv6(host) else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it reads the protocol: without it, each answer takes 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(512)
    except OSError as error:
        found.close()
        raise ListenError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port, or 0 for a free one"
        ) from error
    return found


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def endpoint(bound: socket.socket, scheme: str = "http") -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _already_noticed(_number: int, _frame: FrameType | None) -> None:
    """uvicorn has seen the signal and is stopping."""


class _Uvicorn(uvicorn.Server):
    """Tells when it listens."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    async def hang_up(self) -> None:
        """Cut the connections of clients that did not end them in time."""
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    async def serve_beside(self, bound: socket.socket) -> None:
        """Serve on a socket without looking at signals, until `should_exit`."""
        await self._serve([bound])
        await self.hang_up()
        bound.close()


def _config(app: App | FaultsApp, certificate: Certificate | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=str(certificate.path) if certificate else None,
        ssl_keyfile=str(certificate.key_path) if certificate else None,
    )


@dataclass(frozen=True, slots=True)
class Wishes:
    """Where to listen, and for what. Bearer tokens (`accept`) bring TLS with them; no `faults_port`, no faults."""

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False
    accept: Accept | None = None
    faults_port: int | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """How the emulator can be reached: the main socket, bearer tokens over TLS, and the socket of the faults."""

    bound: socket.socket
    accept: Accept | None = None
    faults: socket.socket | None = None


def open_doors(wishes: Wishes) -> Doors:
    """Listen as wished; faults are always on loopback only."""
    bound = listen(wishes.host, wishes.port, allow_remote=wishes.allow_remote)
    faults = listen("127.0.0.1", wishes.faults_port) if wishes.faults_port is not None else None
    return Doors(bound, wishes.accept, faults)


@dataclass
class Server:
    """An emulator on its sockets. `run` returns when it was stopped by a signal, or by `stop`."""

    emulator: Emulator
    doors: Doors
    access_log: bool = True
    ready: Callable[[], None] = lambda: None
    faults_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def __post_init__(self) -> None:
        account, credentials = self.emulator.account, self.emulator.credentials
        self.certificate = self._certificate() if self.doors.accept else None
        account.url = endpoint(self.doors.bound, "https" if self.certificate else "http")
        self.window = Window(account)
        tokens = Tokens(credentials.key, self.doors.accept) if self.doors.accept else None
        if tokens:
            account.issue_token = lambda task: issue(credentials.key, TASK_TOKEN_SECONDS, Scope(task.job.id, task.id))
        gate = Gate(SharedKey(credentials.account, credentials.key), tokens)
        self._faults_server: _Uvicorn | None = None
        http_faults = self._open_faults() if self.doors.faults else None
        front = Front(gate, self.window, http_faults, self.access_log)
        self._server = _Uvicorn(_config(App(account, front), self.certificate))

    def _certificate(self) -> Certificate:
        from batch_emulator.certificate import certificate

        folder = self.emulator.account.folders.root.parent / "tls"
        return certificate(folder, self.doors.bound.getsockname()[0])

    def _open_faults(self) -> HttpFaults:
        from batch_emulator.faults.commands import FaultyLauncher
        from batch_emulator.faults.http import HttpFaults
        from batch_emulator.faults.registry import Faults
        from batch_emulator.faults.server import FaultsApp

        account = self.emulator.account
        faults = Faults(account.clock)
        account.launcher = FaultyLauncher(account.launcher, account, faults)
        self._faults_server = _Uvicorn(_config(FaultsApp(account, faults, self.faults_token)))
        return HttpFaults(account, faults)

    @property
    def faults_url(self) -> str | None:
        """Where faults are set, if they can be."""
        return endpoint(self.doors.faults) if self.doors.faults else None

    def run(self) -> None:
        """Serve until stopped."""
        if threading.current_thread() is threading.main_thread():
            gc.set_threshold(50_000, 50, 100)  # a million tasks are no garbage; look at them less often
            # uvicorn raises the signal that stopped it once more when it is done; that must not end us
            # before the tasks are killed.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _already_noticed)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._server.ready = self.ready
        self.emulator.begin()
        beside = None
        if self._faults_server and self.doors.faults:
            # Only the main server listens to signals.
            beside = asyncio.create_task(self._faults_server.serve_beside(self.doors.faults))
        try:
            await self._server.serve(sockets=[self.doors.bound])
        finally:
            if beside and self._faults_server:
                self._faults_server.should_exit = True
                await beside
            await self._server.hang_up()
            self.emulator.end()
            self.doors.bound.close()

    def stop(self) -> None:
        """Let `run` return soon; from any thread."""
        self._server.should_exit = True


def write_ready_file(path: Path, server: Server) -> None:
    """Tell a supervisor how to reach the emulator."""
    credentials = server.emulator.credentials
    record: dict[str, object] = {
        "endpoint": server.emulator.account.url,
        "account": credentials.account,
        "key": credentials.key,
        "pid": os.getpid(),
        "window": server.window.link,
    }
    if server.certificate:
        record["certificate"] = str(server.certificate.path)
    if server.faults_url:
        record["faults"] = {"endpoint": server.faults_url, "token": server.faults_token}
    write_private(path, json.dumps(record) + "\n")


@contextmanager
def running_in_thread(settings: Settings | None = None, wishes: Wishes | None = None) -> Iterator[Server]:
    """An in-memory emulator on a free port, in a thread: for tests."""
    listening = threading.Event()
    doors = open_doors(wishes or Wishes())
    server = Server(in_memory(settings or Settings()), doors, access_log=False, ready=listening.set)
    thread = threading.Thread(target=server.run, name="batch-emulator", daemon=True)
    thread.start()
    try:
        if not listening.wait(10):
            raise ListenError("the emulator did not start within 10 seconds")
        yield server
    finally:
        server.stop()
        thread.join(10)
