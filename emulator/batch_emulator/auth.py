"""SharedKey: who may talk to the account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

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


def string_to_sign(request: Request, account_name: str) -> str:
    """What the client signs: method, headers, ocp- headers, the raw path, the first value of each parameter."""
    headers = request.headers
    signed = [headers.get(name, "") for name in _SIGNED_HEADERS]
    if request.method not in ("GET", "HEAD"):
        signed[2] = headers.get("content-length", "") or "0"
    elif signed[2] == "0":
        signed[2] = ""
    lines = [request.method, *signed]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("ocp-")]
    lines.append(f"/{account_name}{request.raw_path}")
    query = first_values(request.query_string)
    lines += [f"{name}:{query[name]}" for name in sorted(query) if query[name]]
    return "\n".join(lines)


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
        expected = sign(self._key, string_to_sign(request, self._name))
        right_name = hmac.compare_digest(name.encode(), self._name.encode())
        if not (hmac.compare_digest(signature.encode(), expected.encode()) and right_name):
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
