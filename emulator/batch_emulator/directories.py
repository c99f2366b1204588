"""The directories of a node, laid out as on Azure, and the only way from a wire path to a file."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batch_emulator.errors import BatchError

NODE_FOLDERS = ("shared", "startup", "startup/wd", "workitems", "applications")


@dataclass(frozen=True, slots=True)
class TaskFolder:
    """The directory of one task on one node, as text: a node makes thousands of them a second."""

    root: str

    @property
    def wd(self) -> str:
        """The working directory: where the command starts."""
        return self.root + "/wd"

    @property
    def stdout(self) -> str:
        """What the task writes to standard output."""
        return self.root + "/stdout.txt"

    @property
    def stderr(self) -> str:
        """What the task writes to standard error."""
        return self.root + "/stderr.txt"

    def make(self) -> None:
        """Create the working directory, and what is above it."""
        os.makedirs(self.wd, exist_ok=True)  # noqa: PTH103 - text, as above


def task_path(job_id: str, task_id: str) -> str:
    """Where a task's directory is below its node's; the jobs of a schedule (`S:job-2`) share a directory."""
    name = job_id.replace(":", "/") if ":" in job_id else f"{job_id}/job-1"
    return f"workitems/{name}/{task_id}"


class NodeFolders:
    """All node directories below the data directory. Ids come checked: they hold no dots and no slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root / "nodes"
        self._text = str(self.root)
        self._trash = Trash(root / "trash")

    def node(self, node_id: str) -> str:
        """AZ_BATCH_NODE_ROOT_DIR of a node."""
        return f"{self._text}/{node_id}"

    def make_node(self, node_id: str) -> None:
        """Create the directories of a node."""
        for name in NODE_FOLDERS:
            Path(self.node(node_id), name).mkdir(parents=True, exist_ok=True)

    def start_task(self, node_id: str) -> TaskFolder:
        """Where the start task of a node runs."""
        return TaskFolder(self.node(node_id) + "/startup")

    def job(self, node_id: str, job_id: str) -> str:
        """What a job left on a node."""
        name = job_id.replace(":", "/") if ":" in job_id else job_id
        return f"{self._text}/{node_id}/workitems/{name}"

    def task(self, node_id: str, job_id: str, task_id: str) -> TaskFolder:
        """Where a task runs on a node."""
        return TaskFolder(f"{self._text}/{node_id}/{task_path(job_id, task_id)}")

    def discard(self, path: str) -> None:
        """Take a tree away at once; its files are deleted in the background."""
        self._trash.discard(path)

    def tidy(self, known: set[str]) -> None:
        """Discard the nodes that are not known any more, and what an emulator before this one had discarded."""
        self._trash.empty()
        if self.root.exists():
            for path in self.root.iterdir():
                if path.name not in known:
                    self.discard(str(path))


class Trash:
    """Deleting a tree can take seconds, so it is renamed into here and deleted by a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._busy = False

    def discard(self, path: str) -> None:
        """Move a tree here; one that does not exist is no error."""
        if os.path.lexists(path):
            self._root.mkdir(parents=True, exist_ok=True)
            Path(path).rename(self._root / uuid.uuid4().hex)
            self.empty()

    def empty(self) -> None:
        """Delete what is here, in a thread that ends when it is done."""
        with self._lock:
            if self._busy or not self._root.exists():
                return
            self._busy = True
        threading.Thread(target=self._delete, name="batch-emulator-trash", daemon=True).start()

    def _delete(self) -> None:
        while True:
            found = list(self._root.iterdir()) if self._root.exists() else []
            with self._lock:
                if not found:
                    self._busy = False
                    return
            for path in found:
                remove(path)


def remove(path: Path) -> None:
    """Delete a file or a tree; what is gone already, or cannot be deleted, is left."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def inside(root: Path, wire_path: str) -> Path:
    """The file that a client names below `root`; FileNotFound for anything that would lead outside."""
    parts = [part for part in wire_path.replace("\\", "/").split("/") if part]
    path = root.joinpath(*parts) if parts else root
    bad = "\0" in wire_path or ".." in parts or not path.resolve().is_relative_to(root.resolve())
    if bad or not path.exists():
        raise BatchError("FileNotFound", ("FilePath", wire_path))
    return path


def entries(root: Path, *, recursive: bool) -> Iterator[Path]:
    """Files and directories below `root` by name; links that lead outside are left out."""
    for path in sorted(root.iterdir()):
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            continue
        yield path
        if recursive and path.is_dir() and not path.is_symlink():
            yield from entries(path, recursive=True)
