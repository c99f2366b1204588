"""Deletion: a run goes in an order that leaves something true behind wherever it is interrupted.

A note that it has begun comes first. Then the job; then results, so that no chunk counts as done whose pictures may be
gone; then the pictures and all else; the run's own description and the note go last. Who submits the run anew takes
the note away.
"""

from collections.abc import Iterator

from batchimg.connect import Services
from batchimg.errors import InputError
from batchimg.events import Observer, Progressed
from batchimg.parallel import in_parallel
from batchimg_worker.blob_names import deleting_path, ledger_path, run_path
from batchimg_worker.storage import Container

DELETERS = 16
RECORDS = ("results/", "parts/")

_Found = tuple[Container, str]


def is_being_deleted(services: Services, run: str) -> bool:
    """Whether a deletion of a run was begun and has not come to its end."""
    return services.runs.stat(deleting_path(run)) is not None


def delete_all(services: Services, run: str, observer: Observer) -> int:
    """Delete all that there is of a run; the number of blobs. Interrupted, the same call goes on.

    Raises InputError where the run was submitted anew meanwhile: its description stays.
    """
    services.runs.write(deleting_path(run), b"")
    for job in services.batch.jobs(run):
        services.batch.delete_job(job.id)
    gone = 0
    for found in (_records(services, run), _others(services, run)):
        for removed in in_parallel(lambda one: one[0].delete(one[1]), found, DELETERS):
            gone += removed
            observer(Progressed("delete", gone, None, unit="blobs"))
    _check_not_submitted(services, run)
    gone += services.runs.delete(run_path(run))
    services.runs.delete(deleting_path(run))
    return gone


def _check_not_submitted(services: Services, run: str) -> None:
    """Another deletion that has come to its end leaves neither the note nor the description."""
    if not is_being_deleted(services, run) and services.runs.stat(run_path(run)) is not None:
        raise InputError(
            f"run {run} was submitted anew while it was being deleted",
            f"To have it, type the same `batchimg submit` again; to be rid of it: batchimg delete {run}",
        )


def _records(services: Services, run: str) -> Iterator[_Found]:
    yield services.runs, ledger_path(run)
    for part in RECORDS:
        yield from ((services.runs, blob.path) for blob in services.runs.list(f"{run}/{part}"))


def _others(services: Services, run: str) -> Iterator[_Found]:
    last = {run_path(run), deleting_path(run)}
    for container in (services.outputs, services.runs):
        yield from ((container, blob.path) for blob in container.list(f"{run}/") if blob.path not in last)
