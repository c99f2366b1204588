"""A request as operations see it, and their reply. Raw ASGI stays in asgi.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

from batch_emulator.durations import http_date, http_date_seconds, timestamp
from batch_emulator.entities import Spec
from batch_emulator.errors import BatchError, query_error
from batch_emulator.validation import body_check, parse_json
from batch_emulator.versions import CURRENT, modern

JSON_TYPE = "application/json;odata=minimalmetadata"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: headers in lower case, the first value of each query parameter, path parts decoded."""

    method: str
    raw_path: str
    query_string: str
    headers: dict[str, str]
    body: bytes
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    def spec(self, model: str) -> Spec:
        """The body, checked against a model of the schema; what an older client says is said in today's words."""
        return self.checked(model, parse_json(self.body))

    def checked(self, model: str, value: Any) -> Spec:
        """A part of the body, checked in the same way."""
        found: Spec = body_check(model)(modern(model, value, self.version), "")
        return found

    @property
    def version(self) -> str:
        """The api-version that the client speaks."""
        return self.query.get("api-version", CURRENT)

    def flag(self, name: str) -> bool:
        """A true-or-false query parameter; absent is false."""
        value = self.query.get(name, "false").lower()
        if value not in ("true", "false"):
            raise query_error(name, value, "Expected true or false.")
        return value == "true"

    def whole(self, name: str, low: int, high: int) -> int | None:
        """An integer query parameter between two bounds, both included; None when absent."""
        text = self.query.get(name)
        if text is None:
            return None
        if not text.isdecimal():
            raise query_error(name, text, "Expected an integer.")
        if not low <= int(text) <= high:
            raise BatchError(
                "OutOfRangeQueryParameterValue",
                ("QueryParameterName", name),
                ("QueryParameterValue", text),
                ("MinimumAllowed", str(low)),
                ("MaximumAllowed", str(high)),
            )
        return int(text)

    def names(self, name: str) -> frozenset[str] | None:
        """A comma-separated query parameter; None when absent or empty."""
        text = self.query.get(name)
        return frozenset(part.strip() for part in text.split(",")) if text else None


def first_values(query_string: str) -> dict[str, str]:
    """The query as the service (and the signature) sees it: decoded, first values, empty ones dropped."""
    return {name: values[0] for name, values in parse_qs(query_string).items()}


@dataclass(frozen=True, slots=True)
class FileBody:
    """A reply's body that is a part of a file: `length` bytes from `start`."""

    path: Path
    start: int
    length: int


Cut = Literal["headers", "body", "rest"]
"""What of a reply does not arrive, because the connection ends before it."""


@dataclass(slots=True)
class Reply:
    """What an operation answers; without `status` it is the route's."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileBody = b""
    status: int | None = None
    cut: Cut | None = None


def etag(ticks: int) -> str:
    """The ETag of something last modified then; unquoted, as the service sends it."""
    return f"0x{ticks:X}"


def version_headers(modified: int) -> dict[str, str]:
    """ETag and Last-Modified."""
    return {"etag": etag(modified), "last-modified": http_date(modified)}


def accepted(modified: int, url: str, *, location: bool = False) -> Reply:
    """The empty reply to a change of the resource at `url`."""
    headers = version_headers(modified) | {"dataserviceid": url}
    if location:
        headers["location"] = url
    return Reply(headers)


def json_reply(value: dict[str, Any], headers: dict[str, str] | None = None, status: int | None = None) -> Reply:
    """A reply with a JSON body."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply({"content-type": JSON_TYPE} | (headers or {}), body, status)


def element(account_url: str, name: str, value: dict[str, Any], modified: int | None = None) -> Reply:
    """One entity, with its metadata line and, where it has a version, its ETag."""
    fields = {"odata.metadata": f"{account_url}/$metadata#{name}/@Element"} | value
    return json_reply(fields, version_headers(modified) if modified is not None else None)


def check_preconditions(request: Request, modified: int) -> None:
    """If-Match and its siblings: ConditionNotMet, 304 for reads that need not be answered, 412 otherwise."""
    headers = request.headers
    current = etag(modified).lower()
    seconds = http_date_seconds(http_date(modified))
    reading = 304 if request.method in ("GET", "HEAD") else 412
    if "if-match" in headers and not _matches(headers["if-match"], current):
        raise BatchError("ConditionNotMet")
    if "if-none-match" in headers and _matches(headers["if-none-match"], current):
        raise BatchError("ConditionNotMet", status=reading)
    if "if-modified-since" in headers and seconds <= _date(headers, "if-modified-since"):
        raise BatchError("ConditionNotMet", status=reading)
    if "if-unmodified-since" in headers and seconds > _date(headers, "if-unmodified-since"):
        raise BatchError("ConditionNotMet")


def _matches(header: str, current: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"').lower() for tag in header.split(",")]
    return "*" in tags or current in tags


def _date(headers: dict[str, str], name: str) -> int:
    try:
        return http_date_seconds(headers[name])
    except ValueError as error:
        raise BatchError("InvalidHeaderValue", ("HeaderName", name), ("Reason", str(error))) from error


def when(ticks: int | None) -> str | None:
    """A timestamp, or None."""
    return timestamp(ticks) if ticks is not None else None
