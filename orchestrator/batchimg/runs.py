"""Runs: find them, list them, cancel them, delete them. Blob storage is the only register."""

import re
from dataclasses import dataclass

from batchimg.children import children
from batchimg.connect import Services
from batchimg.deletion import delete_all
from batchimg.errors import InputError, UnknownRun
from batchimg.events import Observer, Told, nobody
from batchimg.parallel import in_parallel
from batchimg.run_document import read_run
from batchimg.submit import ENDED
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import RUN_NAME, RunSpec
from batchimg_worker.errors import ContractError, ContractVersionError, RecipeError, StorageError

READERS = 16


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion took away."""

    blobs: int


def all_runs(services: Services, observer: Observer = nobody) -> list[RunSpec]:
    """Every run that can be read, the latest first; the observer is told of one whose description is damaged."""

    def read(name: str) -> RunSpec | None:
        try:
            return read_run(services.runs, name)
        except (ContractVersionError, RecipeError):  # of another version, or with operations that are not here
            return None
        except ContractError as error:
            observer(Told(f"Left out: {error.message}. {error.hint}"))
            return None
        except StorageError as error:
            if error.code == "BlobNotFound":  # being deleted, or interrupted before it began
                return None
            raise

    specs = [spec for spec in in_parallel(read, services.runs.folders(), READERS) if spec is not None]
    return sorted(specs, key=lambda spec: (spec.created, spec.run), reverse=True)


def find_run(services: Services, wanted: str | None, observer: Observer = nobody) -> RunSpec:
    """A run by its id, by the beginning of it, or the latest one. Raises UnknownRun, ContractError if it is damaged.

    The observer is told of damaged runs where all had to be read.
    """
    if wanted is not None and re.match(RUN_NAME, wanted) and services.runs.stat(run_path(wanted)) is not None:
        return read_run(services.runs, wanted)
    specs = all_runs(services, observer)
    if not specs:
        raise UnknownRun("there are no runs yet", "Start one: batchimg submit --dataset FOLDER")
    if wanted is None:
        return specs[0]
    matching = [spec for spec in specs if spec.run.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(spec.run for spec in matching[:5])
        raise UnknownRun(f"{wanted!r} is the beginning of {len(matching)} runs: {names}", "Give more of the name.")
    raise UnknownRun(f"there is no run {wanted!r}", f"`batchimg runs` lists them; the latest is {specs[0].run}.")


def latest_descendant(services: Services, spec: RunSpec) -> RunSpec:
    """The run that was last made to go on from a run; the run itself where none was."""
    latest: dict[str, RunSpec] = {}
    for one in all_runs(services):
        if one.parent is not None:
            latest.setdefault(one.parent, one)
    found, met = spec, {spec.run}
    while (following := latest.get(found.run)) is not None and following.run not in met:
        found = following
        met.add(found.run)
    return found


def cancel(services: Services, run: str) -> bool:
    """End a run's tasks; what is done stays. False where it had ended, or its job is gone."""
    ended = [services.batch.terminate(job.id) for job in services.batch.jobs(run) if job.state not in ENDED]
    return any(ended)


def delete(services: Services, run: str, observer: Observer = nobody) -> Deleted:
    """Delete a run: its job, its pictures and its records. The originals stay.

    Raises InputError where another run goes on from it, or may do so: its pictures belong to that one's results.
    """
    for later in children(services, run)[:1]:
        if later.certain:
            raise InputError(
                f"run {later.run} goes on from {run}, whose pictures are part of its results",
                f"Delete that one first: batchimg delete {later.run}",
            )
        raise InputError(
            f"run {later.run} may go on from {run}: it has its name, and {run_path(later.run)} is damaged",
            f"The `batchimg submit` that made it mends it; or delete it first: batchimg delete {later.run}",
        )
    return Deleted(delete_all(services, run, observer))


def find_name(services: Services, wanted: str | None, observer: Observer = nobody) -> str:
    """The id of a run, which may be damaged where its full name is given. Raises as `find_run`."""
    if wanted is not None and re.match(RUN_NAME, wanted) and _has_something(services, wanted):
        return wanted
    return find_run(services, wanted, observer).run


def _has_something(services: Services, run: str) -> bool:
    return next(iter(services.runs.list(f"{run}/")), None) is not None
