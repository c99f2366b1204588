"""Bearer tokens over TLS: the emulator's own, or, if told so, any that is meant for Azure Batch and not expired."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from batch_emulator.auth import SharedKey
from batch_emulator.errors import BatchError
from batch_emulator.wire import Request

AUDIENCE = "https://batch.core.windows.net/"
ISSUER = "batch-emulator"
TOKEN_SECONDS = 3600
Accept = Literal["local", "any"]
_HEAD = {"alg": "HS256", "typ": "JWT"}


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signature(account_key: str, signed: str) -> bytes:
    secret = hashlib.sha256(b"batch-emulator oauth " + account_key.encode()).digest()
    return hmac.new(secret, signed.encode(), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Scope:
    """What the token of a task gives access to: the job of the task, while the task runs."""

    job_id: str
    task_id: str


def issue(account_key: str, seconds: int = TOKEN_SECONDS, scope: Scope | None = None) -> str:
    """A token for the account of that key, or for a part of it, good for `seconds`."""
    now = int(time.time())
    part = {"scp": "job", "job": scope.job_id, "task": scope.task_id} if scope is not None else {}
    claims = part | {"aud": AUDIENCE, "iss": ISSUER, "iat": now, "nbf": now - 60, "exp": now + seconds}
    signed = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (_HEAD, claims))
    return f"{signed}.{_encode(_signature(account_key, signed))}"


def _refuse(reason: str) -> BatchError:
    return BatchError("InvalidAuthenticationInfo", ("AuthenticationErrorDetail", reason))


@dataclass(frozen=True, slots=True)
class Tokens:
    """Verifies bearer tokens. `accept="any"` does not look at the signature: only Microsoft's keys could prove it."""

    account_key: str
    accept: Accept = "local"

    def verify(self, token: str) -> Scope | None:
        """To what the token gives access, None for all; InvalidAuthenticationInfo unless it may be used now."""
        parts = token.split(".")
        try:
            head, claims = (json.loads(_decode(part)) for part in parts[:2])
            signature = _decode(parts[2])
        except (ValueError, IndexError, binascii.Error):
            raise _refuse("The bearer token is not a JWT.") from None
        if not isinstance(claims, dict) or not isinstance(head, dict):
            raise _refuse("The bearer token is not a JWT.")
        if self.accept == "local" or claims.get("iss") == ISSUER:
            own = _signature(self.account_key, ".".join(parts[:2]))
            if head.get("alg") != "HS256" or not hmac.compare_digest(signature, own):
                raise _refuse("The token was not issued by `batch-emulator token` for this account.")
        _check_claims(claims)
        return (
            Scope(str(claims.get("job")), str(claims.get("task")))
            if claims.get("iss") == ISSUER and "job" in claims
            else None
        )


def _check_claims(claims: Mapping[str, Any]) -> None:
    found = claims.get("aud")
    audiences = found if isinstance(found, list) else [found]
    if AUDIENCE.rstrip("/") not in [str(each).rstrip("/") for each in audiences]:
        raise _refuse(f"The token's audience is {found!r}; expected {AUDIENCE!r}.")
    now, expiry, start = time.time(), claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expiry, (int, float)) or not isinstance(start, (int, float)):
        raise _refuse("The token says not until when it is good.")
    if not start <= now < expiry:
        raise _refuse("The token has expired, or is not good yet.")


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests of the account's owner through: SharedKey always, Bearer where there is TLS."""

    shared_key: SharedKey
    tokens: Tokens | None = None

    def verify(self, request: Request) -> Scope | None:
        """What the request may reach, None for all; AuthenticationFailed or InvalidAuthenticationInfo."""
        scope = None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            self.shared_key.verify(request)
        elif self.tokens is None:
            raise _refuse("Bearer needs TLS; start the emulator with --oauth, or use SharedKey.")
        else:
            scope = self.tokens.verify(token.strip())
        _check_body(request)
        return scope


def _check_body(request: Request) -> None:
    """The body is as long as its head says, also where it came in chunks, and has the digest that came with it."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) != len(request.body):
        raise BatchError(
            "AuthenticationFailed", ("AuthenticationErrorDetail", "Content-Length is not that of the body.")
        )
    sent = request.headers.get("content-md5")
    if sent and sent != base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode():
        raise BatchError("AuthenticationFailed", ("AuthenticationErrorDetail", "Content-MD5 is not that of the body."))
