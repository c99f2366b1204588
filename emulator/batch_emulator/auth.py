"""SharedKey: who may talk to the account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterator
from itertools import product

from batch_emulator.durations import http_date_seconds
from batch_emulator.errors import BatchError
from batch_emulator.wire import Request, first_values

MAX_SKEW_SECONDS = 15 * 60

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def _lengths(request: Request) -> tuple[str, ...]:
    """How the length of the body may be signed, the usual way first.

    No body is "0" to some clients and nothing to others (JavaScript and .NET where they DELETE). A body that came in
    chunks, without a length in the head, must be signed with its length: else anyone could add one.
    """
    sent = request.headers.get("content-length", "")
    if sent.strip("0"):
        return (sent,)
    if request.body:
        return (str(len(request.body)),)
    return ("", "0") if request.method in ("GET", "HEAD") else ("0", "")


def _dates(request: Request) -> tuple[str, ...]:
    """How the Date header may be signed: beside ocp-date it counts as empty, since libraries and proxies add it."""
    sent = request.headers.get("date", "")
    return ("", sent) if sent and "ocp-date" in request.headers else (sent,)


def strings_to_sign(request: Request, account_name: str) -> Iterator[str]:
    """What a client may sign, the usual form first.

    Method, headers, ocp- headers, the raw path, the first value of each parameter.
    """
    headers = request.headers
    extra = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("ocp-")]
    extra.append(f"/{account_name}{request.raw_path}")
    query = first_values(request.query_string)
    extra += [f"{name}:{query[name]}" for name in sorted(query) if query[name]]
    for length, date in product(_lengths(request), _dates(request)):
        known = headers | {"content-length": length, "date": date}
        yield "\n".join([request.method, *(known.get(name, "") for name in _SIGNED_HEADERS), *extra])


def sign(key: bytes, text: str) -> str:
    """The signature of a string, in base64."""
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


class SharedKey:
    """Verifies signatures with one account's key."""

    def __init__(self, account_name: str, key: str) -> None:
        self._name = account_name
        try:
            self._key = base64.b64decode(key, validate=True)
        except binascii.Error as error:
            raise ValueError("the account key is not base64") from error

    def verify(self, request: Request) -> None:
        """Raise AuthenticationFailed (or InvalidAuthenticationInfo) unless the request is properly signed."""
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        name, _, signature = credential.strip().partition(":")
        if scheme.lower() != "sharedkey" or not signature:
            raise BatchError(
                "InvalidAuthenticationInfo",
                ("AuthenticationErrorDetail", "Expected SharedKey name:signature."),
            )
        self._check_date(request)
        right_name = hmac.compare_digest(name.encode(), self._name.encode())
        wanted = (sign(self._key, text) for text in strings_to_sign(request, self._name))
        if not (right_name and any(hmac.compare_digest(signature.encode(), each.encode()) for each in wanted)):
            raise BatchError(
                "AuthenticationFailed",
                ("AuthenticationErrorDetail", "The account name, the key or the signed string is wrong."),
            )

    @staticmethod
    def _check_date(request: Request) -> None:
        text = request.headers.get("ocp-date") or request.headers.get("date", "")
        try:
            skew = abs(time.time() - http_date_seconds(text))
        except ValueError:
            raise BatchError(
                "AuthenticationFailed",
                ("AuthenticationErrorDetail", "ocp-date (or date) is missing or wrong."),
            ) from None
        if skew > MAX_SKEW_SECONDS:
            raise BatchError(
                "AuthenticationFailed",
                ("AuthenticationErrorDetail", "The date of the request is more than 15 minutes off."),
            )
