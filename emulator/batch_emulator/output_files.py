"""Output files: what a task wrote is uploaded to blob containers when it has ended."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TextIO

from batch_emulator import storage_rest
from batch_emulator.directories import TaskFolder
from batch_emulator.entities import Failure, Spec
from batch_emulator.errors import property_error
from batch_emulator.resource_files import Sources, bare_url, check_url
from batch_emulator.storage_rest import Identity, StorageError

_WILD = re.compile(r"[*?\[]")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CONDITIONS = {True: ("tasksuccess", "taskcompletion"), False: ("taskfailure", "taskcompletion")}


class UploadError(Exception):
    """An output file could not be uploaded; `failure` goes into the task's failureInfo."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a pattern matches, and its name below the pattern's fixed part."""

    path: Path
    name: str


def check(files: list[Spec], path: str) -> None:
    """Refuse at once what could never be uploaded."""
    for index, entry in enumerate(files):
        place = f"{path}[{index}]"
        container = entry["destination"].get("container")
        if container is None:
            raise property_error(f"{place}.destination", entry["destination"], "A container is required.")
        if not entry["filePattern"] or "\0" in entry["filePattern"]:
            raise property_error(f"{place}.filePattern", entry["filePattern"], "Not a pattern of files.")
        check_url(container["containerUrl"], f"{place}.destination.container.containerUrl")


def due(files: list[Spec], *, success: bool) -> list[Spec]:
    """Those that are to be uploaded after an exit with zero (`success`) or with another code."""
    return [entry for entry in files if entry["uploadOptions"]["uploadCondition"] in _CONDITIONS[success]]


def select(pattern: str, wd: Path, environment: Mapping[str, str]) -> list[Found]:
    """The files that a filePattern means, relative to `wd` unless it starts at the root."""
    text = _VARIABLE.sub(lambda match: environment.get(match[1] or match[2], ""), pattern)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    fixed = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts))
    base = (Path("/") if text.startswith("/") else wd).joinpath(*parts[:fixed])
    wild = parts[fixed:]
    if not wild:
        return [Found(base, base.name)] if base.is_file() else []
    if wild[-1] == "**":
        wild = [*wild, "*"]
    found = {path: Found(path, path.relative_to(base).as_posix()) for path in _walk(base, wild)}
    return [found[path] for path in sorted(found)]


def _walk(folder: Path, parts: list[str]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _walk(folder, rest)
        for child in folder.iterdir():
            if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
                yield from _walk(child, parts)
        return
    for child in _children(folder, part):
        if rest:
            yield from _walk(child, rest)
        elif child.is_file():
            yield child


def _children(folder: Path, part: str) -> Iterator[Path]:
    if not _WILD.search(part):
        yield folder / part
        return
    matches = re.compile(fnmatch.translate(part)).fullmatch
    for child in folder.iterdir():
        if matches(child.name) and (part.startswith(".") or not child.name.startswith(".")):
            yield child


def upload(files: list[Spec], folder: TaskFolder, environment: Mapping[str, str], sources: Sources) -> None:
    """Upload all of `files`, blocking: run it in a thread. UploadError at the first trouble.

    As on Azure, `fileuploadout.txt` and `fileuploaderr.txt` in the task's directory tell how it went.
    """
    root = Path(folder.root)
    with (root / "fileuploadout.txt").open("a") as out, (root / "fileuploaderr.txt").open("a") as err:
        for entry in files:
            try:
                _upload(entry, Path(folder.wd), environment, sources, out)
            except UploadError as error:
                details = "; ".join(f"{name}: {value}" for name, value in error.failure.details)
                err.write(f"{error.failure.code}: {details}\n")
                raise


def _upload(entry: Spec, wd: Path, environment: Mapping[str, str], sources: Sources, out: TextIO) -> None:
    container = entry["destination"]["container"]
    pattern, url = entry["filePattern"], container["containerUrl"]
    try:
        identity = _identity(container, sources)
        found = select(pattern, wd, environment)
        if not found:
            out.write(f"no file matches {pattern}\n")
        for file in found:
            name = _blob_name(container.get("path", ""), pattern, file)
            headers = {header["name"]: header.get("value", "") for header in container.get("uploadHeaders", ())}
            storage_rest.put_file(storage_rest.blob_url(url, name), file.path, headers, identity)
            out.write(f"uploaded {file.path} as {name}\n")
    except StorageError as error:
        raise UploadError(_failure(_code(error.status), pattern, url, str(error))) from error
    except (OSError, ValueError) as error:
        raise UploadError(_failure("FileUploadMiscError", pattern, url, str(error))) from error


def _blob_name(path: str, pattern: str, file: Found) -> str:
    path = path.strip("/")
    if not _WILD.search(pattern):
        return path or file.name
    return f"{path}/{file.name}" if path else file.name


def _identity(container: Spec, sources: Sources) -> Identity | None:
    if "identityReference" not in container:
        return None
    identity = sources.identity
    if identity is None or not identity.covers(container["containerUrl"]):
        raise StorageError(
            HTTPStatus.FORBIDDEN,
            "identityReference: the node has no identity for this account; give a URL with a signature.",
        )
    return identity


def _code(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "FileUploadContainerNotFound"
    denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return "FileUploadAccessDenied" if denied else "FileUploadMiscError"


MESSAGES = {
    "FileUploadContainerNotFound": (
        "One of the specified Azure container(s) was not found while attempting to upload an output file"
    ),
    "FileUploadAccessDenied": (
        "Access was denied to one of the specified Azure container(s) while attempting to upload an output file"
    ),
    "FileUploadMiscError": "A miscellaneous error was encountered while uploading one of the output files",
}
"""All failures of output files: code -> message."""


def _failure(code: str, pattern: str, url: str, reason: str) -> Failure:
    details = (("FilePattern", pattern), ("ContainerUrl", bare_url(url)), ("Reason", reason))
    return Failure("usererror", code, MESSAGES[code], details)
