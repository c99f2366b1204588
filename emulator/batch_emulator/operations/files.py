"""Operations on the files of tasks and of nodes."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND, UNIX_EPOCH_TICKS
from batch_emulator.directories import entries, inside, remove
from batch_emulator.durations import http_date, timestamp
from batch_emulator.errors import BatchError
from batch_emulator.filters import Property
from batch_emulator.paging import collect, list_reply, numbered
from batch_emulator.wire import FileBody, Reply, Request, check_preconditions, etag

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory that can be looked into, and the URL of its files."""

    root: Path
    url: str


def _task_tree(account: Account, request: Request) -> Tree:
    task = account.task(request.path["jobId"], request.path["taskId"])
    if task.address is None:
        raise BatchError("TaskFilesUnavailable", ("Reason", "The task has not run on a node."))
    folder = account.folders.task(task.address.node_id, task.job.id, task.id)
    if not Path(folder.root).exists():
        raise BatchError("TaskFilesUnavailable", ("Reason", "The node is gone, or the retention time is over."))
    return Tree(Path(folder.root), f"{account.url}/jobs/{task.job.id}/tasks/{task.id}/files")


def _node_tree(account: Account, request: Request) -> Tree:
    node = account.node(request.path["poolId"], request.path["nodeId"])
    url = f"{account.url}/pools/{node.pool.id}/nodes/{node.id}/files"
    return Tree(Path(account.folders.node(node.id)), url)


def _ticks(seconds: float) -> int:
    return UNIX_EPOCH_TICKS + int(seconds * TICKS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a tree."""

    tree: Tree
    path: Path

    @property
    def name(self) -> str:
        """Its path relative to the tree."""
        return self.path.relative_to(self.tree.root).as_posix()

    @property
    def url(self) -> str:
        """Where it can be had."""
        return f"{self.tree.url}/{quote(self.name)}"

    def fields(self) -> dict[str, Any]:
        """The item of a list; sizes are strings there."""
        stat = self.path.stat()
        folder = self.path.is_dir()
        fields: dict[str, Any] = {"name": self.name, "url": self.url, "isDirectory": folder}
        if not folder:
            fields["properties"] = {
                "creationTime": timestamp(_ticks(stat.st_ctime)),
                "lastModified": timestamp(_ticks(stat.st_mtime)),
                "contentLength": str(stat.st_size),
                "contentType": _content_type(self.path),
                "fileMode": f"0o{stat.st_mode:o}",
            }
        return fields

    def headers(self) -> dict[str, str]:
        """What HEAD and GET tell of a file."""
        stat = self.path.stat()
        modified = _ticks(stat.st_mtime)
        return {
            "content-type": _content_type(self.path),
            "last-modified": http_date(modified),
            "etag": etag(modified),
            "ocp-creation-time": http_date(_ticks(stat.st_ctime)),
            "ocp-batch-file-isdirectory": str(self.path.is_dir()),
            "ocp-batch-file-url": self.url,
            "ocp-batch-file-mode": f"0o{stat.st_mode:o}",
        }


def _content_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


PROPERTIES: dict[str, Property[Entry]] = {"name": lambda entry: entry.name}


def _list(account: Account, request: Request, tree: Tree) -> Reply:
    found = [Entry(tree, path) for path in entries(tree.root, recursive=request.flag("recursive"))]
    page = collect(request, numbered(found, request), PROPERTIES, Entry.fields)
    return list_reply(account, request, "files", page)


def _get(request: Request, tree: Tree) -> Reply:
    entry = Entry(tree, inside(tree.root, request.path["filePath"]))
    if entry.path.is_dir():
        raise BatchError("FileNotFound", ("Reason", f"{entry.name!r} is a directory."))
    headers = entry.headers()
    check_preconditions(request, _ticks(entry.path.stat().st_mtime))
    size = entry.path.stat().st_size
    # The SDKs that send ocp-range take 200 only; plain HTTP clients that send Range expect 206.
    wanted = request.headers.get("ocp-range") or request.headers.get("range")
    if not wanted:
        return Reply(headers, FileBody(entry.path, 0, size))
    first, last = _range(wanted, size)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    status = 200 if "ocp-range" in request.headers else 206
    return Reply(headers, FileBody(entry.path, first, last - first + 1), status)


def _range(text: str, size: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        raise BatchError("InvalidHeaderValue", ("HeaderName", "ocp-range"), ("HeaderValue", text))
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
    if first > last:
        raise BatchError("InvalidRange", ("Range", text), ("Size", str(size)))
    return first, last


def _properties(request: Request, tree: Tree) -> Reply:
    entry = Entry(tree, inside(tree.root, request.path["filePath"]))
    check_preconditions(request, _ticks(entry.path.stat().st_mtime))
    size = 0 if entry.path.is_dir() else entry.path.stat().st_size
    return Reply(entry.headers() | {"content-length": str(size)})


def _delete(request: Request, tree: Tree) -> Reply:
    path = inside(tree.root, request.path["filePath"])
    if path.is_dir() and any(path.iterdir()) and not request.flag("recursive"):
        raise BatchError("IOError", ("Reason", "The directory is not empty; say recursive=true."))
    remove(path)
    return Reply()


def list_task_files(account: Account, request: Request) -> Reply:
    """The files of a task."""
    return _list(account, request, _task_tree(account, request))


def get_task_file(account: Account, request: Request) -> Reply:
    """The content of a task's file."""
    return _get(request, _task_tree(account, request))


def get_task_file_properties(account: Account, request: Request) -> Reply:
    """Size and times of a task's file."""
    return _properties(request, _task_tree(account, request))


def delete_task_file(account: Account, request: Request) -> Reply:
    """Delete a file, or a directory, of a task."""
    return _delete(request, _task_tree(account, request))


def list_node_files(account: Account, request: Request) -> Reply:
    """The files of a node."""
    return _list(account, request, _node_tree(account, request))


def get_node_file(account: Account, request: Request) -> Reply:
    """The content of a node's file."""
    return _get(request, _node_tree(account, request))


def get_node_file_properties(account: Account, request: Request) -> Reply:
    """Size and times of a node's file."""
    return _properties(request, _node_tree(account, request))


def delete_node_file(account: Account, request: Request) -> Reply:
    """Delete a file, or a directory, of a node."""
    return _delete(request, _node_tree(account, request))
