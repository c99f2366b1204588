"""Resource files: plain GETs into the working directory before a task starts."""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path

from batch_emulator.entities import Failure, Spec
from batch_emulator.errors import property_error

TIMEOUT_SECONDS = 60


class ResourceFileError(Exception):
    """A resource file could not be had; `failure` goes into the task's failureInfo."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def check(files: list[Spec], path: str) -> None:
    """Refuse at once what could never be fetched, or would be written outside the working directory."""
    for index, entry in enumerate(files):
        place = f"{path}[{index}]"
        url, target = entry.get("httpUrl"), entry.get("filePath")
        if not url or not target:
            raise property_error(place, entry, "httpUrl and filePath are both required.")
        if target.startswith("/") or ".." in target.replace("\\", "/").split("/") or "\0" in target:
            raise property_error(f"{place}.filePath", target, "Must stay in the task's working directory.")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise property_error(f"{place}.httpUrl", url, "Expected an https URL, or http on loopback.")


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def fetch(files: list[Spec], wd: Path) -> None:
    """Download all files into `wd`, blocking: run it in a thread. ResourceFileError at the first trouble."""
    for entry in files:
        target = wd / entry["filePath"]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(entry["httpUrl"], target)
            target.chmod(int(entry.get("fileMode", "0770"), 8))
        except urllib.error.HTTPError as error:
            with error:
                raise ResourceFileError(_http_failure(error.code, entry)) from error
        except (OSError, ValueError) as error:
            raise ResourceFileError(_failure("BlobDownloadMiscError", entry, str(error))) from error


def _download(url: str, target: Path) -> None:
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source,  # noqa: S310 - scheme checked
        target.open("wb") as sink,
    ):
        while block := source.read(1 << 20):
            sink.write(block)


def _http_failure(status: int, entry: Spec) -> Failure:
    if status == HTTPStatus.NOT_FOUND:
        return _failure("BlobNotFound", entry, "HTTP 404")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _failure("BlobAccessDenied", entry, f"HTTP {status}")
    return _failure("BlobDownloadMiscError", entry, f"HTTP {status}")


_MESSAGES = {
    "BlobNotFound": "One of the specified Azure Blob(s) is not found",
    "BlobAccessDenied": "Access for one of the specified Azure Blob(s) is denied",
    "BlobDownloadMiscError": "Miscellaneous error encountered while downloading one of the specified Azure Blob(s)",
}


def _failure(code: str, entry: Spec, reason: str) -> Failure:
    url = urllib.parse.urlsplit(entry["httpUrl"])
    details = (("FilePath", entry["filePath"]), ("HttpUrl", f"{url.scheme}://{url.netloc}{url.path}"))
    return Failure("usererror", code, _MESSAGES[code], (*details, ("Reason", reason)))
