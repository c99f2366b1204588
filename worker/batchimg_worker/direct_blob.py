"""Whole blobs in and out by plain signed HTTP requests: a tenth of the CPU that the blob client takes for one.

Only for `batchimg_worker.storage`, which keeps the blob client for everything else. A request is sent once. Whatever
is not a plain success is None or False here, and the caller asks the blob client, which sends it again, waits, and
explains: reading and writing whole blobs can be done twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Protocol
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

from batchimg_worker.http_connections import Answer, Connections

VERSION = "2021-12-02"
SCOPE = "https://storage.azure.com/.default"
TOKEN_MARGIN = 300  # seconds before a token's end from which on another is asked for
OCTETS = "application/octet-stream"
OK, CREATED = 200, 201


class AccessToken(Protocol):
    """A bearer token and when it ends, in seconds since 1970."""

    @property
    def token(self) -> str:
        """What is sent."""
        ...

    @property
    def expires_on(self) -> int:
        """When it ends."""
        ...


class TokenCredential(Protocol):
    """What azure-identity's credentials are."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A token for a scope."""
        ...


class KeySigner:
    """Signs with an account's key (Shared Key, as the blob service defines it)."""

    def __init__(self, endpoint: str, key: str) -> None:
        self._account = urlsplit(endpoint).path.strip("/").split("/", maxsplit=1)[0]
        self._key = base64.b64decode(key)

    def authorization(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """The header of a request without a query; ``path`` is encoded as it is sent."""
        length = headers.get("Content-Length", "")
        about = [
            "",
            "",
            "" if length == "0" else length,
            headers.get("Content-MD5", ""),
            headers.get("Content-Type", ""),
        ]
        own = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
        text = "\n".join([method, *about, *[""] * 6]) + f"\n{own}/{self._account}{path}"
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"


class TokenSigner:
    """Signs in with a credential; a token is asked for once and used until shortly before its end."""

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def authorization(self, _method: str, _path: str, _headers: Mapping[str, str]) -> str:
        """The header of any request. Raises what the credential raises."""
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < TOKEN_MARGIN:
                self._token = self._credential.get_token(SCOPE)
            return f"Bearer {self._token.token}"


class DirectBlobs:
    """The blobs of one account. Thread-safe."""

    def __init__(self, endpoint: str, signer: KeySigner | TokenSigner) -> None:
        parts = urlsplit(endpoint)
        self._base = parts.path.rstrip("/")
        self._signer = signer
        self._connections = Connections(f"{parts.scheme}://{parts.netloc}", _trust(parts.scheme))

    def read(self, container: str, path: str) -> bytes | None:
        """The whole blob; None where anything is in the way."""
        answer = self._send("GET", self._path(container, path), {})
        return answer.body if answer is not None and answer.status == OK else None

    def write(self, container: str, path: str, content: bytes, md5: bytes) -> bool:
        """Put a blob in place; the service checks and keeps its MD5. False where anything is in the way."""
        digest = base64.b64encode(md5).decode()
        headers = {
            "Content-Length": str(len(content)),
            "Content-MD5": digest,
            "Content-Type": OCTETS,
            "x-ms-blob-content-md5": digest,
            "x-ms-blob-type": "BlockBlob",
        }
        answer = self._send("PUT", self._path(container, path), headers, content)
        return answer is not None and answer.status == CREATED

    def close(self) -> None:
        """Give the connections back."""
        self._connections.close()

    def _path(self, container: str, path: str) -> str:
        return f"{self._base}/{container}/{quote(path, safe='/~')}"

    def _send(self, method: str, path: str, headers: dict[str, str], content: bytes = b"") -> Answer | None:
        headers |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
        try:
            headers["Authorization"] = self._signer.authorization(method, path, headers)
            return self._connections.send(method, path, headers, content)
        except Exception:  # noqa: BLE001 - whatever it is: the blob client tries again, and tells
            return None


def suits(endpoint: str, *, loopback: bool) -> bool:
    """Whether requests may go straight to the endpoint: no proxy stands between."""
    return loopback or urlsplit(endpoint).scheme not in getproxies()


def _trust(scheme: str) -> ssl.SSLContext | None:
    """Whom to believe over TLS: the same authorities as the blob client."""
    if scheme != "https":
        return None
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
