"""Plain HTTP over kept connections, against sockets that answer what they are told."""

import hashlib
import socket
import ssl
import threading
import tracemalloc
from contextlib import ExitStack, closing, suppress

import pytest

from batch_emulator.certificate import certificate
from batchimg_worker.direct_blob import DirectBlobs, KeySigner
from batchimg_worker.http_connections import AnswerError, Connections

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


class Origin:
    """Answers the requests of one connection after the other with the bytes given for it, and ends it then."""

    def __init__(self, connections, tls=None):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = []
        self._thread = threading.Thread(target=self._serve, args=(connections, tls))
        self._thread.start()

    def _serve(self, connections, tls):
        for answers in connections:
            connection, _ = self._listening.accept()
            with tls.wrap_socket(connection, server_side=True) if tls else connection as one:
                for answer in answers:
                    self.requests.append(self._request(one))
                    one.sendall(answer)

    @staticmethod
    def _request(connection):
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Content-Length" in line), 0)
        while len(body) < length:
            body += connection.recv(65536)
        return head, body

    def close(self):
        self._thread.join(timeout=10)
        self._listening.close()


@pytest.fixture
def reach():
    """Start an origin; give it and connections to it."""
    with ExitStack() as stack:

        def start(*connections, tls=None, trust=None):
            there = Origin(connections, tls)
            stack.callback(there.close)
            return there, stack.enter_context(closing(Connections(there.url, trust)))

        yield start


def test_requests_go_over_one_connection_and_bring_their_whole_body(reach):
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000
    there, connections = reach([PLAIN, large, CREATED])
    body = bytes(range(256)) * 2000
    assert connections.send("GET", "/a", {}).body == b"hello"
    assert connections.send("GET", "/b", {}).body == b"x" * 300_000
    assert connections.send("PUT", "/c", {"Content-Length": str(len(body))}, body).status == 201
    assert there.requests[0][0].startswith(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:")
    assert there.requests[2][1] == body


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"2;name=value\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_a_chunked_answer_is_put_together(reach, body):
    _, connections = reach([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, PLAIN])
    assert [connections.send("GET", "/", {}).body for _ in range(2)] == [b"hello", b"hello"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 2xx\r\n\r\n",
        b"SSH-2.0-server",
    ],
)
def test_an_answer_that_is_cut_or_of_unknown_length_is_none(reach, answer):
    _, connections = reach([answer])
    with pytest.raises(AnswerError):
        connections.send("GET", "/", {})


def test_a_connection_that_ends_is_not_used_again(reach):
    told = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    _, connections = reach([told], [PLAIN], [PLAIN])
    bodies = [connections.send("GET", "/", {}).body for _ in range(2)]
    [kept] = connections._free
    assert kept.recv(1, socket.MSG_PEEK) == b""  # the end of the second has come
    assert [*bodies, connections.send("GET", "/", {}).body] == [b"hello"] * 3


def test_tls_believes_only_whom_it_was_told_to(reach, tmp_path):
    made = certificate(tmp_path, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.path, made.key_path)
    _, connections = reach([PLAIN], tls=tls, trust=ssl.create_default_context(cafile=made.path))
    assert connections.send("GET", "/", {}).body == b"hello"


def test_a_stranger_s_certificate_is_not_believed(tmp_path):
    made = certificate(tmp_path, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.path, made.key_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stranger = threading.Thread(target=_shake_hands, args=(listening, tls))
        stranger.start()
        endpoint = f"https://127.0.0.1:{listening.getsockname()[1]}/account"
        blobs = DirectBlobs(endpoint, KeySigner(endpoint, "AAAA"))
        assert not blobs.write("outputs", "a", b"", hashlib.md5(b"", usedforsecurity=False).digest())
        stranger.join(timeout=10)
        assert not stranger.is_alive()


def _shake_hands(listening, tls):
    connection, _ = listening.accept()
    with connection, suppress(ssl.SSLError, ConnectionError):
        tls.wrap_socket(connection, server_side=True)


def test_a_large_body_is_received_without_a_copy(reach):
    body = bytes(range(256)) * (16 << 10)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    _, connections = reach([head + body])
    tracemalloc.start()
    try:
        answer = connections.send("GET", "/a", {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.body == body
    assert peak < 1.5 * len(body)
