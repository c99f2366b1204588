"""A door: a small HTTP proxy on loopback in front of a service, which can do something else with a request."""

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Self

HOP = {"connection", "keep-alive", "transfer-encoding"}
LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class Request:
    """A request as it arrived; ``port`` is the sender's."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    port: int


@dataclass(frozen=True)
class Answer:
    """An answer as it is sent; with ``most`` the connection ends after so many bytes of its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    most: int | None = None


class CutError(Exception):
    """The connection ends here."""


@dataclass(frozen=True)
class Exchange:
    """A request, and how to have the service answer it."""

    request: Request
    forward: Callable[[], Answer]


Act = Callable[[Exchange], Answer]


@dataclass
class Rule:
    """What is done with requests of a kind. ``of`` tells whether a sender is meant, by its port."""

    act: Act
    method: str = "[A-Z]+"
    pattern: str = ""
    skip: int = 0
    count: int | None = 1
    probability: float = 1.0
    random: Random = field(default_factory=Random)
    of: Callable[[int], bool] | None = None
    fired: int = 0

    def fires(self, request: Request) -> bool:
        """Whether it is this request's turn; counts it."""
        if self.count is not None and self.fired >= self.count:
            return False
        if not re.fullmatch(self.method, request.method) or not re.search(self.pattern, request.target):
            return False
        if self.of is not None and not self.of(request.port):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.random.random() >= self.probability:
            return False
        self.fired += 1
        return True


class Door:
    """Passes everything on to ``upstream`` (a port of this machine), but for what its rules say."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.rules: list[Rule] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def rule(self, rule: Rule) -> Rule:
        """Set a rule."""
        with self._lock:
            self.rules.append(rule)
        return rule

    def calm(self) -> None:
        """Take all rules away."""
        with self._lock:
            self.rules.clear()

    def close(self) -> None:
        """Refuse connections, and cut those that are open, as when the service is away."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        """Listen again on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._accept()

    def _accept(self) -> None:
        listener = self._listener

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = listener.accept()
                    threading.Thread(target=self._serve, args=(connection, address[1]), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def _serve(self, connection: socket.socket, port: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(connection)
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=120)
        try:
            with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, CutError):
                while (request := _read(stream, port)) is not None:
                    answer = self._answer(Exchange(request, partial(_forward, upstream, request)))
                    connection.sendall(_bytes(answer, request.method))
                    if answer.most is not None:
                        break
        finally:
            upstream.close()
            with self._lock:
                self._open.discard(connection)

    def _answer(self, exchange: Exchange) -> Answer:
        with self._lock:
            rule = next((rule for rule in self.rules if rule.fires(exchange.request)), None)
        return exchange.forward() if rule is None else rule.act(exchange)


def _read(stream: socket.SocketIO, port: int) -> Request | None:
    line = stream.readline(LONGEST_LINE).decode("latin-1").strip()
    if not line:
        return None
    method, target, _ = line.split(" ")
    headers = []
    while text := stream.readline(LONGEST_LINE).decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers.append((name.strip(), value.strip()))
    known = {name.lower(): value for name, value in headers}
    if known.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(known.get("content-length", "0")))
    return Request(method, target, tuple(headers), body, port)


def _forward(upstream: http.client.HTTPConnection, request: Request) -> Answer:
    """Ask the service; once more where it has closed the connection meanwhile. Raises CutError."""
    for last in (False, True):
        try:
            upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                if name.lower() not in HOP:
                    upstream.putheader(name, value)
            upstream.endheaders(request.body or None)
            answer = upstream.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            upstream.close()
            if last:
                raise CutError from None
        else:
            return Answer(answer.status, tuple(answer.getheaders()), body)
    raise CutError


def _bytes(answer: Answer, method: str) -> bytes:
    kept = [(name, value) for name, value in answer.headers if name.lower() not in HOP | {"content-length"}]
    length = len(answer.body)
    if method == "HEAD":
        length = next((int(value) for name, value in answer.headers if name.lower() == "content-length"), 0)
    if answer.status not in {204, 304}:
        kept.append(("Content-Length", str(length)))
    head = f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Unknown')}\r\n"
    lines = head + "".join(f"{name}: {value}\r\n" for name, value in kept) + "\r\n"
    return lines.encode("latin-1") + answer.body[: answer.most]
