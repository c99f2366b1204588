"""Children: the runs that go on from a run, those among them whose description is damaged too."""

import json
import re
from dataclasses import dataclass

from batchimg.beats import began
from batchimg.connect import Services
from batchimg.parallel import in_parallel
from batchimg.plan import name_of
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import RunSpec
from batchimg_worker.documents import parse
from batchimg_worker.errors import ContractError, StorageError, WorkerError

READERS = 16
SAME_NAME = 40  # characters: what retries and canaries keep of a long name
PARENT = re.compile(rb'"parent"\s*:\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Child:
    """A run that goes on from another one; not ``certain`` where only its name says so, for it cannot be read."""

    run: str
    certain: bool


def children(services: Services, run: str) -> list[Child]:
    """The runs that go on from a run; where there are none, those that may do so."""

    def look(name: str) -> Child | None:
        try:
            return _child(name, services.runs.read(run_path(name)), run)
        except StorageError as error:
            if error.code == "BlobNotFound":  # being deleted, or interrupted before it began
                return None
            raise

    others = (name for name in services.runs.folders() if name != run)
    found = [child for child in in_parallel(look, others, READERS) if child is not None]
    return [one for one in found if one.certain] or _possible(services, run, found)


def _possible(services: Services, run: str, found: list[Child]) -> list[Child]:
    """Those of runs with the same name that may need another one's pictures: they began after it had some."""
    first = began(services, run) if found else None
    if first is None:
        return []
    starts = {one.run: began(services, one.run) for one in found}
    return [one for one in found if (start := starts[one.run]) is None or start > first]


def _child(name: str, content: bytes, run: str) -> Child | None:
    told = _parent(name, content)
    if told is not None:
        return Child(name, certain=True) if told == run else None
    return Child(name, certain=False) if _base(name) == _base(run) else None


def _parent(name: str, content: bytes) -> str | None:
    """The parent that a description names, empty for none; None where it is damaged before it would.

    One of another version says it as ours does, for fields are only added.
    """
    try:
        return parse(RunSpec, content, name).parent or ""
    except WorkerError as error:
        found = PARENT.search(content)
        if found:
            return found[1].decode("utf-8", "replace")
        return None if _is_damaged(error, content) else ""


def _is_damaged(error: WorkerError, content: bytes) -> bool:
    try:
        whole = "run" in json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return True
    return type(error) is ContractError or not whole


def _base(run: str) -> str:
    return name_of(run)[:SAME_NAME]
