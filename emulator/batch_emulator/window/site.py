"""Serving the window. Three walls: the Host header (against DNS rebinding), a token that other users of the machine
do not know and that a browser keeps for this port only (no cookie: those are shared by all ports of a host), and a
content policy that lets the page load nothing from elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
from functools import cache
from importlib import resources
from urllib.parse import urlsplit

from batch_emulator.account import Account
from batch_emulator.window.view import fragment
from batch_emulator.wire import Reply

_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/window.css": ("window.css", "text/css; charset=utf-8"),
    "/window.js": ("window.js", "text/javascript; charset=utf-8"),
}
_STATE = "/window"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_NAMES = {"localhost", "127.0.0.1", "::1"}


@cache
def _file(name: str) -> bytes:
    return resources.files("batch_emulator.window").joinpath(name).read_bytes()


class Window:
    """The page, its two files, and the state that it asks for with the token."""

    paths = frozenset((*_FILES, _STATE))

    def __init__(self, account: Account) -> None:
        self._account = account
        self._token = secrets.token_urlsafe(32)

    @property
    def link(self) -> str:
        """What to open; the token is in the fragment, which a browser sends to nobody."""
        return f"{self._account.url}/#window={self._token}"

    def reply(self, path: str, headers: dict[str, str]) -> Reply:
        """The answer to a GET of one of `paths`."""
        if not self._is_ours(headers.get("host", "")):
            return _refusal("The Host header is not that of this emulator.")
        if path in _FILES:
            name, kind = _FILES[path]
            return Reply(_HEADERS | {"content-type": kind}, _file(name), 200)
        site = headers.get("sec-fetch-site", "same-origin")
        sent = headers.get("x-window-token", "")
        if site != "same-origin" or not hmac.compare_digest(sent.encode(), self._token.encode()):
            return _refusal("The token is missing or wrong; open the link that the emulator printed.")
        return Reply(_HEADERS | {"content-type": "text/html; charset=utf-8"}, fragment(self._account).encode(), 200)

    def _is_ours(self, host: str) -> bool:
        own = urlsplit(self._account.url)
        try:
            found = urlsplit(f"//{host}")
            return found.port == own.port and found.hostname in _NAMES | {own.hostname}
        except ValueError:
            return False


def _refusal(reason: str) -> Reply:
    return Reply(_HEADERS | {"content-type": "text/plain; charset=utf-8"}, reason.encode() + b"\n", 403)
