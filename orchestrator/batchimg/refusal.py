"""That Azure Batch refused a run's job, written beside the run: `batchimg why` tells it to whoever asks later."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from batchimg.errors import ServiceError
from batchimg_worker.errors import StorageError
from batchimg_worker.storage import Container

NAME = "refused.json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Azure Batch said instead of making the job, and when."""

    at: datetime
    code: str
    message: str


@contextlib.contextmanager
def refusal_noted(runs: Container, run: str) -> Iterator[None]:
    """Write down a ServiceError on its way; storage that does not take the note is no second error."""
    try:
        yield
    except ServiceError as error:
        note = {"at": datetime.now(UTC).isoformat(), "code": error.code, "message": error.message}
        with contextlib.suppress(StorageError):
            runs.write(f"{run}/{NAME}", json.dumps(note).encode())
        raise


def refusal_of(runs: Container, run: str) -> Refusal | None:
    """The last refusal of a run; None where there was none, or where the note cannot be read."""
    try:
        note = json.loads(runs.read(f"{run}/{NAME}"))
        return Refusal(datetime.fromisoformat(note["at"]), str(note["code"]), str(note["message"]))
    except (StorageError, ValueError, KeyError, TypeError):
        return None
