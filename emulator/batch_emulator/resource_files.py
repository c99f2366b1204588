"""Resource files: what a task needs is fetched into its directory before it starts."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from batch_emulator import storage_rest
from batch_emulator.entities import Failure, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.storage_rest import Identity, StorageError

_KINDS = ("httpUrl", "storageContainerUrl", "autoStorageContainerName")
_MODE = re.compile(r"0?o?[0-7]{3,4}")
_CONTAINER = re.compile(r"[a-z0-9$](-?[a-z0-9])*")
DEFAULT_MODE = "0770"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a node may fetch from beside URLs that open themselves."""

    auto_storage: str | None = None
    """URL of the account's blob service."""
    identity: Identity | None = None


NO_SOURCES = Sources()


class ResourceFileError(Exception):
    """A resource file could not be had; `failure` goes into the task's failureInfo."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def check(files: list[Spec], path: str, *, auto_storage: bool = True) -> None:
    """Refuse at once what could never be fetched, or would be written outside the task's directory."""
    for index, entry in enumerate(files):
        place = f"{path}[{index}]"
        kinds = [name for name in _KINDS if entry.get(name)]
        if len(kinds) != 1:
            raise property_error(place, entry, f"Exactly one of {', '.join(_KINDS)} is required.")
        _check_target(entry, place, kinds[0])
        if kinds[0] == "autoStorageContainerName":
            _check_auto_storage(entry, place, auto_storage=auto_storage)
        else:
            check_url(entry[kinds[0]], f"{place}.{kinds[0]}")


def _check_target(entry: Spec, place: str, kind: str) -> None:
    target = entry.get("filePath", "")
    if kind == "httpUrl" and not target:
        raise property_error(place, entry, "httpUrl needs a filePath.")
    if kind == "httpUrl" and "blobPrefix" in entry:
        raise property_error(f"{place}.blobPrefix", entry["blobPrefix"], "It has a meaning for containers only.")
    if not stays_inside(target):
        raise property_error(f"{place}.filePath", target, "Must stay in the task's working directory.")
    mode = entry.get("fileMode", DEFAULT_MODE)
    if not _MODE.fullmatch(mode):
        raise property_error(f"{place}.fileMode", mode, "Expected octal digits such as 0770.")


def _check_auto_storage(entry: Spec, place: str, *, auto_storage: bool) -> None:
    name = entry["autoStorageContainerName"]
    if not _CONTAINER.fullmatch(name):
        raise property_error(f"{place}.autoStorageContainerName", name, "Not the name of a container.")
    if not auto_storage:
        raise BatchError(
            "AutoStorageNotConfigured",
            ("PropertyName", f"{place}.autoStorageContainerName"),
            ("Reason", "Start the emulator with --auto-storage URL."),
        )


def stays_inside(target: str) -> bool:
    """Whether a relative path of the wire cannot lead out of the directory it is relative to."""
    parts = target.replace("\\", "/").split("/")
    return not (target.startswith(("/", "\\")) or ".." in parts or "\0" in target)


def check_url(url: str, place: str) -> None:
    """Refuse a URL that is not https, or http on loopback."""
    try:
        parts = urllib.parse.urlsplit(url)
        allowed = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    except ValueError:
        allowed = False
    if not allowed:
        raise property_error(place, bare_url(url), "Expected an https URL, or http on loopback.")


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def bare_url(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    return url.partition("?")[0]


def fetch(files: list[Spec], folder: Path, sources: Sources = NO_SOURCES) -> None:
    """Download all files into `folder`, blocking: run it in a thread. ResourceFileError at the first trouble."""
    for entry in files:
        if "httpUrl" in entry:
            _fetch_file(entry, entry["httpUrl"], folder / entry["filePath"], sources)
        else:
            _fetch_container(entry, folder, sources)


def _fetch_file(entry: Spec, url: str, target: Path, sources: Sources) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        storage_rest.get(url, target, _identity(entry, url, sources))
        target.chmod(int(entry.get("fileMode", DEFAULT_MODE).replace("o", ""), 8))
    except StorageError as error:
        raise ResourceFileError(_failure(_blob_code(error.status), url, str(error), entry)) from error
    except (OSError, ValueError) as error:
        raise ResourceFileError(_failure("BlobDownloadMiscError", url, str(error), entry)) from error


def _fetch_container(entry: Spec, folder: Path, sources: Sources) -> None:
    url = _container_url(entry, sources)
    try:
        names = list(storage_rest.list_blobs(url, entry.get("blobPrefix", ""), _identity(entry, url, sources)))
    except StorageError as error:
        raise ResourceFileError(_failure(_container_code(error.status), url, str(error), entry)) from error
    root = folder / entry.get("filePath", "")
    for name in names:
        if not stays_inside(name):
            reason = f"The blob {name!r} would be written outside of the task's directory."
            raise ResourceFileError(_failure("BlobDownloadMiscError", url, reason, entry))
        if not name.endswith("/"):
            _fetch_file(entry, storage_rest.blob_url(url, name), root / name, sources)


def _container_url(entry: Spec, sources: Sources) -> str:
    name = entry.get("autoStorageContainerName")
    if name is None:
        url: str = entry["storageContainerUrl"]
        return url
    if sources.auto_storage is None:
        reason = "The account has no auto storage: start the emulator with --auto-storage URL."
        raise ResourceFileError(_failure("ResourceContainerNotFound", name, reason, entry))
    return storage_rest.blob_url(sources.auto_storage, name)


def _identity(entry: Spec, url: str, sources: Sources) -> Identity | None:
    """Whose key opens `url`: the node's if the entry asks for it, or if it is the account's own storage."""
    identity = sources.identity
    if "identityReference" not in entry:
        own = "autoStorageContainerName" in entry and "?" not in url and identity is not None and identity.covers(url)
        return identity if own else None
    if identity is None or not identity.covers(url):
        reason = "identityReference: the node has no identity for this account; give a URL with a signature."
        code = "BlobAccessDenied" if "httpUrl" in entry else "ResourceContainerAccessDenied"
        raise ResourceFileError(_failure(code, url, reason, entry))
    return identity


_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _blob_code(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "BlobNotFound"
    return "BlobAccessDenied" if status in _DENIED else "BlobDownloadMiscError"


def _container_code(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "ResourceContainerNotFound"
    return "ResourceContainerAccessDenied" if status in _DENIED else "ResourceContainerListMiscError"


MESSAGES = {
    "BlobNotFound": "One of the specified Azure Blob(s) is not found",
    "BlobAccessDenied": "Access for one of the specified Azure Blob(s) is denied",
    "BlobDownloadMiscError": "Miscellaneous error encountered while downloading one of the specified Azure Blob(s)",
    "ResourceContainerNotFound": "One of the specified Azure Blob container(s) is not found",
    "ResourceContainerAccessDenied": "Access for one of the specified Azure Blob container(s) is denied",
    "ResourceContainerListMiscError": (
        "Miscellaneous error encountered while listing one of the specified Azure Blob container(s)"
    ),
}
"""All failures of resource files: code -> message."""


def _failure(code: str, url: str, reason: str, entry: Spec) -> Failure:
    name = "HttpUrl" if code.startswith("Blob") else "StorageContainerUrl"
    details = (("FilePath", entry.get("filePath", "")), (name, bare_url(url)), ("Reason", reason))
    return Failure("usererror", code, MESSAGES[code], details)
