"""Logs: what a task printed, from its node while that lives, else from blob storage."""

from collections.abc import Iterator
from dataclasses import dataclass

from batchimg.connect import Services
from batchimg.errors import ServiceError, UnknownRun
from batchimg_worker.blob_names import log_path
from batchimg_worker.contract import RunSpec
from batchimg_worker.errors import StorageError

STREAMS = ("stdout.txt", "stderr.txt")


@dataclass(frozen=True, slots=True)
class TaskLog:
    """What one task printed on one stream. ``place`` says where it was found."""

    chunk: int
    stream: str
    place: str
    text: str


def logs(services: Services, spec: RunSpec, chunk: int | None = None) -> Iterator[TaskLog]:
    """The logs of one chunk, or of all; a task that has not begun has none."""
    if chunk is not None and not 0 <= chunk < spec.chunks:
        raise UnknownRun(f"run {spec.run} has no chunk {chunk}", f"Its chunks are 0 to {spec.chunks - 1}.")
    jobs = _jobs(services, spec.run)
    for number in range(spec.chunks) if chunk is None else [chunk]:
        for stream in STREAMS:
            on_node = (_from_node(services, job, number, stream) for job in jobs)
            log = next(filter(None, on_node), None) or _from_blob(services, spec.run, number, stream)
            if log is not None:
                yield log


def _jobs(services: Services, run: str) -> list[str]:
    """The run's jobs, the latest first; none where Batch does not answer: blob storage may know all the same."""
    try:
        return [job.id for job in reversed(services.batch.jobs(run))]
    except ServiceError:
        return []


def _from_node(services: Services, job: str, chunk: int, stream: str) -> TaskLog | None:
    try:
        content = services.batch.task_file(job, str(chunk), stream)
    except ServiceError:
        return None  # blob storage may know it all the same
    if content is None:
        return None
    return TaskLog(chunk, stream, "the node", content.decode("utf-8", "replace"))


def _from_blob(services: Services, run: str, chunk: int, stream: str) -> TaskLog | None:
    try:
        content = services.runs.read(log_path(run, chunk, stream))
    except StorageError as error:
        if error.code == "BlobNotFound":
            return None
        raise
    return TaskLog(chunk, stream, "blob storage", content.decode("utf-8", "replace"))
