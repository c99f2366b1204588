"""Submit: write down the run, send its manifests, make the job and its tasks. Every step can be done twice."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from batchimg.batch_errors import JobDone
from batchimg.batch_values import JobSpec, TaskLimits, TaskSpec, job_id
from batchimg.connect import Services
from batchimg.damaged_results import remove_damaged_results
from batchimg.deletion import is_being_deleted
from batchimg.events import Observer, Progressed, nobody
from batchimg.parallel import in_parallel
from batchimg.plan import Plan, spec_of
from batchimg.refusal import refusal_noted
from batchimg.run_document import read_run
from batchimg.settings import Settings
from batchimg.split import joins_of
from batchimg_worker.blob_names import (
    attachment_path,
    deleting_path,
    manifest_path,
    rejected_path,
    result_path,
    run_path,
)
from batchimg_worker.contract import ImageResult, ManifestHeader, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.errors import ContractError, ContractVersionError

MOST_RANGES = 1_000  # of tasks that the last one waits for; with more, the laptop merges the ledger
ENDED = frozenset({"completed", "terminating", "deleting"})  # states of a job that takes no more tasks


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run that is on its way. ``resumed`` if it was there before, ``ended`` if it has nothing left to do.

    ``known`` images need nothing: the run's parent has done them; where it has ended, all that it and its parents have.
    ``failed_before`` of these failed in a parent, and would fail again: the submit leaves them alone.
    """

    spec: RunSpec
    resumed: bool
    ended: bool
    known: int = 0
    failed_before: int = 0


def submit(plan: Plan, name: str, source: Source, services: Services, observer: Observer = nobody) -> Submitted:
    """Start a run, or go on with the same one.

    The run's id ends in a hash of its plan, so the same command finds its own run again: it continues where it
    was interrupted, does again what a cancelled or failed job left undone, and does nothing where all is done.
    """
    spec = spec_of(plan, name, source, datetime.now(UTC))
    half_deleted = is_being_deleted(services, spec.run)
    known = None if half_deleted else _existing(services, spec.run)
    jobs = services.batch.jobs(spec.run)
    _write_rejected(plan, spec, services)
    if known is None:
        for one in plan.attachments:
            services.runs.write(attachment_path(spec.run, one.attachment), one.content)
        services.runs.write(run_path(spec.run), dump(spec))
    if half_deleted:  # results went first: what has one has its pictures
        services.runs.delete(deleting_path(spec.run))
    remove_damaged_results(services, spec, observer)
    missing = _missing(services, spec)
    if not missing:
        finish_submit(services, spec)
        total = plan.known + len(plan.dataset) if plan.known else 0
        return Submitted(known or spec, known is not None, ended=True, known=total, failed_before=plan.failed_before)
    _write_manifests(plan, spec, services, observer)
    number = 1 if not jobs else jobs[-1].number + (jobs[-1].state in ENDED)
    try:
        _start(services, spec, job_id(spec.run, number), missing, observer)
    except JobDone:  # it has ended since it was looked at
        return submit(plan, name, source, services, observer)
    return Submitted(known or spec, known is not None, False, plan.known, plan.failed_before)


def nothing_new(base: RunSpec, plan: Plan) -> Submitted:
    """What a submit gives that has nothing to do: a run and those before it have all that its plan was made of."""
    return Submitted(base, resumed=True, ended=True, known=plan.known, failed_before=plan.failed_before)


def finish_submit(services: Services, spec: RunSpec) -> None:
    """Add what an interrupted submit has not added to its job, and let the job end; nothing where all is there.

    Where there is no job yet, only the same submit can go on: its manifests may be missing.
    """
    jobs = services.batch.jobs(spec.run)
    if jobs and jobs[-1].state not in ENDED and not jobs[-1].has_all_tasks:
        with contextlib.suppress(JobDone):
            _start(services, spec, jobs[-1].id, _missing(services, spec), nobody)


def _start(services: Services, spec: RunSpec, job: str, chunks: list[int], observer: Observer) -> None:
    """Make the job with the tasks of some chunks. Raises JobDone where it was there and has ended."""
    settings = services.settings
    wanted = JobSpec(job, settings.pool, _environment(services), settings.task_retries, settings.max_hours)
    with refusal_noted(services.runs, spec.run):
        services.batch.create_job(wanted)
    added = 0
    joins = joins_of(services.runs, spec, chunks, settings.upload_threads)
    for count in services.batch.add_tasks(job, tasks_of(spec, chunks, joins, settings) if chunks else []):
        added += count
        observer(Progressed("submit", min(added, len(chunks)), len(chunks), unit="tasks"))
    services.batch.finish_adding(wanted)


def _existing(services: Services, run: str) -> RunSpec | None:
    """The run's description; None where there is none, or one that is damaged: all of it follows from the plan."""
    if services.runs.stat(run_path(run)) is None:
        return None
    try:
        return read_run(services.runs, run)
    except ContractVersionError:
        raise
    except ContractError:
        return None


def _missing(services: Services, spec: RunSpec) -> list[int]:
    """The chunks that have no result: all that is left to do."""
    done = {blob.path for blob in services.runs.list(f"{spec.run}/results/")}
    return [chunk for chunk in range(spec.chunks) if result_path(spec.run, chunk) not in done]


def _environment(services: Services) -> dict[str, str]:
    """What each task is told: where storage is, and which of the node's identities opens it."""
    told = {"BATCHIMG_STORAGE_ENDPOINT": services.store.endpoint}
    identity = services.settings.node_identity
    return {**told, "AZURE_CLIENT_ID": identity} if identity else told


def tasks_of(
    spec: RunSpec, chunks: list[int], joins: Mapping[int, Sequence[int]], settings: Settings
) -> list[TaskSpec]:
    """One task a chunk, and a last one that merges the ledger when all of them have ended, well or not.

    A task that ``joins`` what others make waits likewise for those of them that are not done.
    """
    limits = TaskLimits(min(settings.max_task_hours, settings.max_hours), settings.task_retries)
    image, command = settings.worker_image, f"{settings.worker_command} --run {spec.run}"
    left = set(chunks)
    bands = {join: [band for band in made_by if band in left] for join, made_by in joins.items()}
    tasks = [
        TaskSpec(str(chunk), f"{command} --chunk {chunk}", limits, tuple(_ranges(bands.get(chunk, []))), image)
        for chunk in chunks
    ]
    ranges = tuple(_ranges(chunks))
    if len(ranges) <= MOST_RANGES:
        tasks.append(TaskSpec(str(spec.chunks), f"{command} --ledger", limits, ranges, image))
    return tasks


def _ranges(numbers: list[int]) -> Iterator[range]:
    """Ascending numbers as ranges without gaps: Batch would wait for ever for a task that is not there."""
    start = numbers[0] if numbers else 0
    for number, following in pairwise([*numbers, -1]):
        if following != number + 1:
            yield range(start, number + 1)
            start = following


def _write_manifests(plan: Plan, spec: RunSpec, services: Services, observer: Observer) -> None:
    def write(number: int) -> int:
        services.runs.write(manifest_path(spec.run, number), b"\n".join(_manifest(plan, spec.run, number)) + b"\n")
        return number

    for done, _ in enumerate(in_parallel(write, range(plan.tasks), services.settings.upload_threads), start=1):
        observer(Progressed("manifests", done, plan.tasks, unit="chunks"))


def _manifest(plan: Plan, run: str, number: int) -> Iterator[bytes]:
    entries = list(plan.entries(number))
    size = sum(entry.size for entry in entries)
    yield dump(ManifestHeader(run=run, chunk=number, images=len(entries), bytes=size))
    yield from map(dump, entries)


def _write_rejected(plan: Plan, spec: RunSpec, services: Services) -> None:
    """Images that stayed behind have a record too: every input of a run has exactly one."""
    if not plan.dataset.rejected:
        return
    records = [
        dump(ImageResult(path=one.path, size=one.size, status="failed", error_type=one.error_type, message=one.message))
        for one in plan.dataset.rejected
    ]
    services.runs.write(rejected_path(spec.run), b"\n".join(records) + b"\n")
