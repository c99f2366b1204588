"""The HTTP side: raw ASGI, from bytes to operations and back."""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_emulator import log, task_tokens
from batch_emulator.account import Account
from batch_emulator.durations import timestamp
from batch_emulator.errors import BatchError, error_body
from batch_emulator.oauth import AUDIENCE, Gate
from batch_emulator.routes import Route, find
from batch_emulator.versions import API_VERSIONS, answer
from batch_emulator.window.site import Window
from batch_emulator.wire import JSON_TYPE, FileBody, Reply, Request, first_values, json_reply

if TYPE_CHECKING:
    from batch_emulator.faults.http import HttpFaults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 1_048_576
BLOCK = 1 << 18
HEALTH = "/healthz"
LONGEST_SECONDS = 30
"""Of a request, and the default."""
SPELLED = {
    "content-length": "Content-Length",
    "content-range": "Content-Range",
    "content-type": "Content-Type",
    "dataserviceid": "DataServiceId",
    "dataserviceversion": "DataServiceVersion",
    "etag": "ETag",
    "last-modified": "Last-Modified",
    "location": "Location",
    "retry-after": "Retry-After",
    "server": "Server",
    "www-authenticate": "WWW-Authenticate",
}
"""Headers that are not written in lower case: the Java client takes their names by the letter."""
CHALLENGE = f'Bearer authorization_uri="https://login.microsoftonline.com/common", resource_id="{AUDIENCE}"'


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before an account's operations."""

    gate: Gate
    window: Window
    faults: HttpFaults | None = None
    access_log: bool = True


class App:
    """The ASGI application of one account."""

    def __init__(self, account: Account, front: Front) -> None:
        self._account = account
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request_id = str(uuid.uuid4())
        method, raw_path = scope["method"], scope["raw_path"].decode("latin-1").partition("?")[0]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers["request-id"] = request_id
        public = self._public(raw_path, headers) if method in ("GET", "HEAD") else None
        request = Request(method, raw_path, scope["query_string"].decode("latin-1"), headers, b"")
        reply = public or await self._answer(request, receive)
        await _send(reply, headers, method, send)
        if self._front.access_log and public is None:
            milliseconds = (time.perf_counter() - started) * 1000
            log.line(f"{method} {raw_path} {reply.status} {milliseconds:.1f}ms")

    def _public(self, path: str, headers: dict[str, str]) -> Reply | None:
        """What needs no key: the state of health, and the window, which has a token of its own."""
        if path == HEALTH:
            return json_reply({"status": "ok", "runningTasks": len(self._account.runs)}, status=200)
        return self._front.window.reply(path, headers) if path in self._front.window.paths else None

    async def _answer(self, request: Request, receive: Receive) -> Reply:
        try:
            request = _with_body(request, await _read(receive))
            scope = self._front.gate.verify(request)
            route, path = find(request.method, request.raw_path)
            request = _with_parameters(request, path)
            if scope is not None:
                task_tokens.check(self._account, scope, request.path)
            if self._front.faults is None:
                return self._operate(route, request)
            return await self._in_time(self._operate_with_faults(self._front.faults, route, request), request)
        except BatchError as error:
            return self._refuse(error, request)
        except Exception:  # noqa: BLE001 - a bug must become a 500, not a cut connection
            traceback.print_exc()
            return self._refuse(BatchError("InternalError"), request)

    async def _in_time(self, reply: Coroutine[None, None, Reply], request: Request) -> Reply:
        """Only what faults make slow can take long. As on Azure, the request may have been applied all the same."""
        seconds = _seconds(request)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await reply
        except TimeoutError:
            if not limit.expired():
                raise
            raise BatchError("OperationTimedOut", ("TimeoutInSeconds", str(seconds))) from None

    async def _operate_with_faults(self, faults: HttpFaults, route: Route, request: Request) -> Reply:
        trouble = faults.trouble(
            f"{route.method} {route.template}", request.path, lambda error: self._refuse(error, request)
        )
        reply = await trouble.before()
        if reply is not None:
            return reply
        try:
            reply = self._operate(route, request)
        except BatchError as error:
            reply = self._refuse(error, request)
        faults.remember(trouble, request.path.get("jobId", ""), reply)
        return await trouble.after(reply)

    def _operate(self, route: Route, request: Request) -> Reply:
        _check_query(route, request)
        if route.operation is None:
            raise BatchError("UnsupportedOperation", ("Operation", f"{route.method} {route.template}"))
        try:
            reply = route.operation(self._account, request)
        finally:
            self._account.journal.flush()
        reply.status = reply.status or route.status
        if route.method == "GET" and isinstance(reply.body, bytes):
            reply.body = answer(route.template, reply.body, request.version, request.names("$select"))
        return reply

    def _refuse(self, error: BatchError, request: Request) -> Reply:
        account = self._account
        body = error_body(error, account.url, request.headers["request-id"], timestamp(account.now()))
        if error.status == 304:
            return Reply(status=304)
        headers = {"content-type": JSON_TYPE}
        if error.status == 401:
            headers["www-authenticate"] = CHALLENGE
        return Reply(headers, body, error.status)


def _with_body(request: Request, body: bytes) -> Request:
    return Request(request.method, request.raw_path, request.query_string, request.headers, body)


def _with_parameters(request: Request, path: dict[str, str]) -> Request:
    query = first_values(request.query_string)
    return Request(request.method, request.raw_path, request.query_string, request.headers, request.body, path, query)


def _check_query(route: Route, request: Request) -> None:
    version = request.query.get("api-version")
    if version is None:
        raise BatchError("MissingRequiredQueryParameter", ("QueryParameterName", "api-version"))
    if version not in API_VERSIONS:
        raise BatchError("UnsupportedRequestVersion", ("ApiVersion", version), ("Supported", ", ".join(API_VERSIONS)))
    for name in request.query:
        if name not in route.query:
            raise BatchError("UnsupportedQueryParameter", ("QueryParameterName", name))
    _seconds(request)


def _seconds(request: Request) -> int:
    """How long the request may take: what it says, or the default for nothing, 0, and anything above it."""
    for name in ("timeOut", "timeout"):
        asked = request.whole(name, 0, 2**31 - 1)
        if asked:
            return min(asked, LONGEST_SECONDS)
    return LONGEST_SECONDS


async def _read(receive: Receive) -> bytes:
    """The request's body; one that is too large is read to its end, so that the client sees the answer."""
    blocks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BatchError("InvalidRequestBody", ("Reason", "The connection was cut."))
        block = message.get("body", b"")
        size += len(block)
        if size <= MAX_BODY:
            blocks.append(block)
        if not message.get("more_body", False):
            break
    if size > MAX_BODY:
        raise BatchError("RequestBodyTooLarge", ("MaxLimit", str(MAX_BODY)), ("Size", str(size)))
    return b"".join(blocks)


def _head(reply: Reply, request_headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    headers = {
        "server": "batch-emulator",
        "dataserviceversion": "3.0",
        "request-id": request_headers["request-id"],
    } | reply.headers
    if request_headers.get("return-client-request-id", "").lower() == "true":
        headers["client-request-id"] = request_headers.get("client-request-id", "")
    if "content-length" not in headers and reply.status not in (204, 304):
        length = reply.body.length if isinstance(reply.body, FileBody) else len(reply.body)
        headers["content-length"] = str(length)
    return [(SPELLED.get(name, name).encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _send(reply: Reply, request_headers: dict[str, str], method: str, send: Send) -> None:
    if reply.cut == "headers":
        await _cut(send)
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": _head(reply, request_headers)})
    if reply.cut is not None:
        if reply.cut == "rest" and isinstance(reply.body, FileBody):
            await _send_file(FileBody(reply.body.path, reply.body.start, reply.body.length // 2), send, more=True)
        elif reply.cut == "rest" and isinstance(reply.body, bytes):
            half = reply.body[: len(reply.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        await _cut(send)
    elif method == "HEAD" or reply.status in (204, 304):
        await send({"type": "http.response.body", "body": b""})
    elif isinstance(reply.body, FileBody):
        await _send_file(reply.body, send)
    else:
        await send({"type": "http.response.body", "body": reply.body})


async def _cut(send: Send) -> None:
    """End the connection. ASGI has no word for it, so this reaches for the transport behind uvicorn's `send`."""
    cycle: Any = getattr(send, "__self__", None)
    cycle.transport.abort()
    while not cycle.disconnected:  # noqa: ASYNC110 - uvicorn only sets a flag
        await asyncio.sleep(0)


async def _send_file(body: FileBody, send: Send, *, more: bool = False) -> None:
    """Exactly `length` bytes, also when the file shrinks meanwhile (then zeros), as the head promised.

    With `more`, the reply does not end with them.
    """
    left = body.length
    with body.path.open("rb") as file:
        file.seek(body.start)
        while left > 0:
            size = min(BLOCK, left)
            block = await asyncio.to_thread(file.read, size) if body.length > BLOCK else file.read(size)
            block = block or b"\0" * size
            left -= len(block)
            await send({"type": "http.response.body", "body": block, "more_body": more or left > 0})
    if body.length == 0 and not more:
        await send({"type": "http.response.body", "body": b""})
