"""The few operations of the blob service's REST API that nodes need: get, list, put. Blocking: run it in a thread."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60
STORAGE_VERSION = "2021-12-02"
BLOCK = 8 << 20
"""Bytes of one block; what is not larger is sent in one piece."""
MAX_LISTING = 64 << 20
_SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


class StorageError(Exception):
    """The blob service refused (`status` as in HTTP) or could not be reached (`status` 0)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node may use of the storage account at `endpoint` by itself, without a signature in the URL."""

    endpoint: str
    key: str = field(repr=False)

    @property
    def account(self) -> str:
        """The account's name: in the path on loopback, else in the host name."""
        parts = urllib.parse.urlsplit(self.endpoint)
        return parts.path.strip("/") or (parts.hostname or "").partition(".")[0]

    def covers(self, url: str) -> bool:
        """Whether `url` is in this account."""
        return url.startswith(self.endpoint.rstrip("/") + "/")

    def authorization(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        """The Authorization header of a request, as Shared Key."""
        text = string_to_sign(method, url, headers, self.account)
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"


def string_to_sign(method: str, url: str, headers: Mapping[str, str], account: str) -> str:
    """What a Shared Key signature of the blob service covers. `headers` in lower case."""
    parts = urllib.parse.urlsplit(url)
    values = [headers.get(name, "") for name in _SIGNED]
    if headers.get("content-length") == "0":
        values[2] = ""
    own = [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-ms-")]
    query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
    resource = [f"/{account}{parts.path}"]
    resource += [f"{name.lower()}:{','.join(sorted(query[name]))}" for name in sorted(query)]
    return "\n".join([method, *values, *own, *resource])


def with_query(url: str, query: Mapping[str, str]) -> str:
    """`url` with more query parameters."""
    parts = urllib.parse.urlsplit(url)
    more = urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
    return parts._replace(query=f"{parts.query}&{more}" if parts.query else more).geturl()


def blob_url(container_url: str, name: str) -> str:
    """The URL of a blob in a container; a signature in the container's URL is kept."""
    parts = urllib.parse.urlsplit(container_url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{urllib.parse.quote(name)}").geturl()


def _send(method: str, url: str, headers: Mapping[str, str], body: bytes | None, identity: Identity | None) -> Any:
    fields = {"x-ms-version": STORAGE_VERSION, "x-ms-date": formatdate(usegmt=True)}
    fields |= {name.lower(): value for name, value in headers.items()}
    if body is not None:
        fields["content-length"] = str(len(body))
        fields.setdefault("content-type", "application/octet-stream")
    if identity is not None:
        fields["authorization"] = identity.authorization(method, url, fields)
    request = urllib.request.Request(url, body, fields, method=method)  # noqa: S310 - the scheme is checked before
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            code = error.headers.get("x-ms-error-code", "")
            raise StorageError(error.code, f"HTTP {error.code} {code}".strip()) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise StorageError(0, str(error)) from error


def get(url: str, target: Path, identity: Identity | None = None) -> None:
    """Download `url` into the file `target`. StorageError, or OSError when the file cannot be written."""
    # Only the blob service understands the headers of a signed request; any web server may be the source.
    with _send("GET", url, {}, None, identity) as source, target.open("wb") as sink:
        try:
            while block := source.read(1 << 20):
                sink.write(block)
        except http.client.HTTPException as error:
            raise StorageError(0, f"the answer was cut: {error}") from error


def list_blobs(container_url: str, prefix: str, identity: Identity | None = None) -> Iterator[str]:
    """The names of all blobs that start with `prefix`, page by page."""
    marker = ""
    while True:
        query = {"restype": "container", "comp": "list", "prefix": prefix, "marker": marker}
        url = with_query(container_url, {name: value for name, value in query.items() if value})
        with _send("GET", url, {}, None, identity) as answer:
            text = answer.read(MAX_LISTING)
        try:
            page = ElementTree.fromstring(text)  # noqa: S314 - the parser expands no external entities
        except ElementTree.ParseError as error:
            raise StorageError(0, f"not a list of blobs: {error}") from error
        for blob in page.iter("Blob"):
            yield blob.findtext("Name") or ""
        marker = page.findtext("NextMarker") or ""
        if not marker:
            return


def put_file(url: str, path: Path, headers: Mapping[str, str], identity: Identity | None = None) -> None:
    """Upload a file as a block blob; a large one in blocks."""
    with path.open("rb") as source:
        first = source.read(BLOCK)
        if len(first) < BLOCK:
            _send("PUT", url, {**headers, "x-ms-blob-type": "BlockBlob"}, first, identity).close()
            return
        names: list[str] = []
        block = first
        while block:
            names.append(base64.b64encode(f"{len(names):08d}".encode()).decode())
            place = with_query(url, {"comp": "block", "blockid": names[-1]})
            _send("PUT", place, {}, block, identity).close()
            block = source.read(BLOCK)
    entries = "".join(f"<Latest>{name}</Latest>" for name in names)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{entries}</BlockList>'.encode()
    _send("PUT", with_query(url, {"comp": "blocklist"}), headers, body, identity).close()
