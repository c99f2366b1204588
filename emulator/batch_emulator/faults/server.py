"""The door to the faults: a small HTTP API on a port of its own, with a token of its own."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pydantic import ValidationError

from batch_emulator.account import Account
from batch_emulator.faults.commands import strike_now
from batch_emulator.faults.model import FAULT
from batch_emulator.faults.registry import Faults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]
MAX_BODY = 65_536


class FaultsApp:
    """POST, GET and DELETE of /faults and /faults/{id}. Errors are `{"error": {"code", "message"}}`."""

    def __init__(self, account: Account, faults: Faults, token: str) -> None:
        self._account = account
        self._faults = faults
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await _read(receive)
        status, answer = self._answer(scope, body)
        content = json.dumps(answer).encode() if status != 204 else b""
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if status != 204:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: Scope, body: bytes | None) -> Answer:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(sent, b"Bearer " + self._token):
            return _error(401, "Unauthorized", "Send the header `authorization: Bearer <token of the faults port>`.")
        if body is None:
            return _error(413, "TooLarge", f"A fault has at most {MAX_BODY} bytes.")
        parts = scope["path"].strip("/").split("/")
        if parts[0] != "faults" or len(parts) > 2:
            return _error(404, "NotFound", f"{scope['path']}: there are /faults and /faults/<id> only.")
        return self._one(scope["method"], parts[1]) if len(parts) == 2 else self._all(scope["method"], body)

    def _all(self, method: str, body: bytes) -> Answer:
        if method == "GET":
            return 200, {"value": [armed.fields() for armed in self._faults.all()]}
        if method == "POST":
            return self._add(body)
        if method == "DELETE":
            self._faults.clear()
            return 204, {}
        return _error(405, "MethodNotAllowed", f"{method}: /faults has GET, POST and DELETE.")

    def _one(self, method: str, fault_id: str) -> Answer:
        armed = self._faults.get(fault_id)
        if armed is None:
            return _error(404, "NotFound", f"There is no fault {fault_id!r}; GET /faults lists them.")
        if method == "GET":
            return 200, armed.fields()
        if method == "DELETE":
            self._faults.remove(fault_id)
            return 204, {}
        return _error(405, "MethodNotAllowed", f"{method}: a fault has GET and DELETE; set a new one to change it.")

    def _add(self, body: bytes) -> Answer:
        try:
            fault = FAULT.validate_json(body)
        except ValidationError as error:
            return _error(400, "InvalidFault", _reasons(error))
        armed = self._faults.add(fault)
        strike_now(self._account, armed)
        return 201, armed.fields()


def _reasons(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in each['loc']) or 'body'}: {each['msg']}" for each in found)


def _error(status: int, code: str, message: str) -> Answer:
    return status, {"error": {"code": code, "message": message}}


async def _read(receive: Receive) -> bytes | None:
    """The body; None when it is too large."""
    blocks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        block = message.get("body", b"")
        size += len(block)
        if size <= MAX_BODY:
            blocks.append(block)
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(blocks) if size <= MAX_BODY else None
