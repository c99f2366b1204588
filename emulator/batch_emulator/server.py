"""Listening: uvicorn on a socket of our own, in this thread or in one for tests."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from batch_emulator.account import Settings
from batch_emulator.asgi import App
from batch_emulator.auth import SharedKey
from batch_emulator.resource_files import is_loopback
from batch_emulator.service import Credentials, Emulator, in_memory, write_private

STOP_SECONDS = 3


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
    found = socket.socket(family, socket.SOCK_STREAM)
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


def endpoint(bound: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _already_noticed(_number: int, _frame: FrameType | None) -> None:
    """uvicorn has seen the signal and is stopping."""


class _Uvicorn(uvicorn.Server):
    """Tells when it listens."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


@dataclass
class Server:
    """An emulator on a socket. `run` returns when it was stopped by a signal, or by `stop`."""

    emulator: Emulator
    bound: socket.socket
    access_log: bool = True
    ready: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        emulator = self.emulator
        emulator.account.url = endpoint(self.bound)
        key = SharedKey(emulator.credentials.account, emulator.credentials.key)
        app = App(emulator.account, key, access_log=self.access_log)
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._server.ready = self.ready

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
        self.emulator.begin()
        try:
            await self._server.serve(sockets=[self.bound])
        finally:
            self.emulator.end()
            self.bound.close()

    def stop(self) -> None:
        """Let `run` return soon; from any thread."""
        self._server.should_exit = True


def write_ready_file(path: Path, url: str, credentials: Credentials) -> None:
    """Tell a supervisor how to reach the emulator."""
    record = {"endpoint": url, "account": credentials.account, "key": credentials.key, "pid": os.getpid()}
    write_private(path, json.dumps(record) + "\n")


@contextmanager
def running_in_thread(settings: Settings | None = None) -> Iterator[Server]:
    """An in-memory emulator on a free port, in a thread: for tests."""
    listening = threading.Event()
    bound = listen("127.0.0.1", 0)
    server = Server(in_memory(settings or Settings()), bound, access_log=False, ready=listening.set)
    thread = threading.Thread(target=server.run, name="batch-emulator", daemon=True)
    thread.start()
    try:
        if not listening.wait(10):
            raise ListenError("the emulator did not start within 10 seconds")
        yield server
    finally:
        server.stop()
        thread.join(10)
