"""Loopback ports: choosing free ones, and saying who holds a taken one."""

import secrets
import socket
from dataclasses import dataclass

from batchimg.local.errors import LocalStackError

HOST = "127.0.0.1"

# Below the range from which kernels take ports of outgoing connections (Linux 32768, others 49152): a port of
# ours is then rarely somebody else's while the stack restarts.
_FIRST, _COUNT = 20_000, 12_000
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Ports:
    """The stack's loopback ports. 0 means: choose one."""

    blob: int = 0
    queue: int = 0
    batch: int = 0

    def numbers(self) -> tuple[int, int, int]:
        """Blob, queue, batch."""
        return (self.blob, self.queue, self.batch)

    def named(self) -> tuple[tuple[str, int], ...]:
        """The same with their names."""
        return (("blob", self.blob), ("queue", self.queue), ("batch", self.batch))


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except (OSError, OverflowError):
            return False
    return True


def answers(port: int, timeout_seconds: float = 0.5) -> bool:
    """Whether a server accepts connections on the port. No byte is sent, so no access log grows."""
    try:
        socket.create_connection((HOST, port), timeout_seconds).close()
    except OSError:
        return False
    return True


def choose(wanted: Ports, last: Ports) -> Ports:
    """Ports to try next: what the user `wanted`, else the `last` ones where free, else other free ones."""
    taken = set(wanted.numbers())

    def one(fixed: int, sticky: int) -> int:
        if fixed:
            return fixed
        port = sticky if sticky and sticky not in taken and is_free(sticky) else _free_port(taken)
        taken.add(port)
        return port

    return Ports(
        blob=one(wanted.blob, last.blob),
        queue=one(wanted.queue, last.queue),
        batch=one(wanted.batch, last.batch),
    )


def check_wanted(wanted: Ports) -> None:
    """Raise LocalStackError if a port that the user fixed is taken, out of range or named twice."""
    seen: dict[int, str] = {}
    for name, port in wanted.named():
        if not port:
            continue
        if not 0 < port < 65536:
            raise LocalStackError(f"The {name} port {port} is not a port.", hint="Use a number from 1024 to 65535.")
        if port in seen:
            raise LocalStackError(
                f"The {seen[port]} port and the {name} port are both {port}.",
                hint=f"Give BATCHIMG_LOCAL_{name.upper()}_PORT another number.",
            )
        seen[port] = name
        if not is_free(port):
            raise taken_error(name, port)


def taken_error(name: str, port: int) -> LocalStackError:
    """The error for a fixed port that cannot be had."""
    who = holder(port)
    if who is None and port < 1024:
        return LocalStackError(
            f"The {name} port {port} cannot be opened.",
            hint=f"Give BATCHIMG_LOCAL_{name.upper()}_PORT a number from 1024 to 65535.",
        )
    return LocalStackError(
        f"The {name} port {port} is taken by {who or 'another process'}.",
        hint=f"End that process, or set BATCHIMG_LOCAL_{name.upper()}_PORT to another port, or leave it out.",
    )


def holder(port: int) -> str | None:
    """Who listens on the port, as `name (pid N)`; None if this user may not know."""
    import psutil

    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
        pid = next((pid for pid in listening if pid), None)
        return None if pid is None else f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return None


def _free_port(taken: set[int]) -> int:
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_COUNT)
        if port not in taken and is_free(port):
            return port
    raise LocalStackError(
        f"No free port found on {HOST} from {_FIRST} to {_FIRST + _COUNT - 1}.",
        hint="Choose ports with BATCHIMG_LOCAL_BLOB_PORT, _QUEUE_PORT and _BATCH_PORT.",
    )
