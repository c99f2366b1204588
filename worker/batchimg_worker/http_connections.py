"""HTTP/1.1 with whole bodies to one origin: a third of the CPU that a general client takes for a request.

Strict on purpose: what is not a plain answer is `AnswerError`, and its connection is closed.
"""

from __future__ import annotations

import io
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from urllib3.util import wait_for_read

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0
HEAD_BYTES = 64 * 1024  # an answer's head is no longer, nor is a line of a chunked body
PIECE = 64 * 1024
JOINED_BYTES = 16 * 1024  # a smaller body goes in one packet with its head
BODILESS = frozenset({204, 304})


class AnswerError(OSError):
    """What came is no answer that we read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's status and whole body."""

    status: int
    body: bytes


class Connections:
    """Kept connections to one origin (``https://host:port``); ``trust`` is what TLS believes, None without TLS.

    Thread-safe; each request has a connection for itself, and there are as many as requests at once.
    """

    def __init__(self, origin: str, trust: ssl.SSLContext | None) -> None:
        parts = urlsplit(origin)
        self._address = (parts.hostname or "", parts.port or (443 if trust else 80))
        self._host = parts.netloc
        self._trust = trust
        self._free: deque[socket.socket] = deque()
        weakref.finalize(self, _close, self._free)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request (not HEAD) once. Raises OSError where no plain answer came."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        connection = self._free_one() or self._connected()
        try:
            if len(body) <= JOINED_BYTES:
                connection.sendall(head + body)
            else:
                connection.sendall(head)
                connection.sendall(body)
            answer, reusable = _Reader(connection).answer()
        except BaseException:
            connection.close()
            raise
        if reusable:
            self._free.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that are free."""
        _close(self._free)

    def _free_one(self) -> socket.socket | None:
        """The connection used last; those that the other side has ended meanwhile are closed."""
        while True:
            try:
                kept = self._free.pop()
            except IndexError:
                return None
            if not wait_for_read(kept, timeout=0):
                return kept
            kept.close()

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=CONNECT_SECONDS)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._trust is not None:
                connection = self._trust.wrap_socket(connection, server_hostname=self._address[0])
            connection.settimeout(ANSWER_SECONDS)
        except BaseException:
            connection.close()
            raise
        return connection


def _close(connections: deque[socket.socket]) -> None:
    while connections:
        connections.pop().close()


class _Reader:
    """Reads one answer; nothing may follow it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def answer(self) -> tuple[Answer, bool]:
        """The answer, and whether the connection can be used again."""
        first, *lines = self._up_to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdecimal():
            raise AnswerError(f"no answer of HTTP/1.1: {first[:80]}")
        status, fields = int(rest[:3]), {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip().lower()
        body = self._body(status, fields)
        if self._received:
            raise AnswerError("more came than was announced")
        return Answer(status, body), fields.get("connection") != "close"

    def _body(self, status: int, fields: Mapping[str, str]) -> bytes:
        coding, length = fields.get("transfer-encoding"), fields.get("content-length", "")
        if coding == "chunked":
            return self._chunks()
        if coding is None and length.isdecimal():
            return self._exactly(int(length))
        if coding is None and status in BODILESS:
            return b""
        raise AnswerError("an answer of unknown length")

    def _chunks(self) -> bytes:
        whole = bytearray()
        while True:
            line = self._up_to(b"\r\n").partition(b";")[0].strip()
            try:
                length = int(line, 16)
            except ValueError as error:
                raise AnswerError("a chunk of unknown length") from error
            if length <= 0:
                break
            whole += self._exactly(length)
            if self._up_to(b"\r\n"):
                raise AnswerError("a chunk that is longer than was announced")
        while self._up_to(b"\r\n"):
            """What trails a body is not wanted."""
        return bytes(whole)

    def _up_to(self, mark: bytes) -> bytes:
        while (end := self._received.find(mark)) < 0:
            if len(self._received) > HEAD_BYTES:
                raise AnswerError("an answer without end")
            self._more()
        found = bytes(self._received[:end])
        del self._received[: end + len(mark)]
        return found

    def _exactly(self, length: int) -> bytes:
        received = self._received
        if len(received) >= length:
            found = bytes(received[:length])
            del received[:length]
            return found
        whole = io.BytesIO()  # its bytes can be filled where they are, and taken without a copy
        whole.seek(length - 1)
        whole.write(b"\0")
        with whole.getbuffer() as view:
            at = len(received)
            view[:at] = received
            received.clear()
            while at < length:
                count = self._connection.recv_into(view[at:])
                if not count:
                    raise AnswerError("the connection ended in an answer")
                at += count
        return whole.getvalue()

    def _more(self) -> None:
        piece = self._connection.recv(PIECE)
        if not piece:
            raise AnswerError("the connection ended before its answer")
        self._received += piece
