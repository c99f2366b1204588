"""Watch: how far a run is, from heartbeats and results in blob storage and a few calls to Batch.

The number of calls does not grow with the images: a listing shows 5,000 chunks, counts included.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from batchimg.batch_values import FailedTask, Job, TaskCounts
from batchimg.connect import Services
from batchimg.errors import RunFailed, ServiceError, UnknownRun
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat, RunSpec, parse, run_path

NO_JOB = "There is no job. If the submit was interrupted, type it again: it goes on where it was."
PATIENCE_SECONDS = 60.0  # how long `follow` waits for a job to appear
State = Literal["submitting", "running", "completed", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks of a run. ``failed`` ones ended without a result."""

    total: int
    done: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run is. ``lost`` images belong to chunks that ended without a result."""

    run: str
    state: State
    dataset: str
    images: int
    done: int
    failed: int
    lost: int
    bytes_in: int
    bytes_out: int
    chunks: ChunkCounts
    nodes: dict[str, int]
    created: datetime
    started: datetime | None
    ended: datetime | None
    images_per_second: float | None
    eta_seconds: float | None
    failed_tasks: tuple[FailedTask, ...]
    note: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"completed", "cancelled", "failed"}

    @property
    def all_done(self) -> bool:
        """Whether every image is done."""
        return self.is_over and self.done == self.images


def status(services: Services, spec: RunSpec) -> RunStatus:
    """A run as it is now; it works after its job and its nodes are gone."""
    results = _beats(services, f"{spec.run}/results/")
    beats = _beats(services, f"{spec.run}/heartbeats/") | results
    job, counts, nodes, note = _ask_batch(services, spec)
    state = _state(spec, job, len(results))
    failed_tasks: tuple[FailedTask, ...] = ()
    if job is not None and counts.failed:
        last = str(spec.chunks)
        failed_tasks = tuple(task for task in services.batch.failed_tasks(job.id) if task.id != last)
    return _summary(spec, _Seen(list(beats.values()), len(results), job, counts, nodes, note, failed_tasks, state))


@dataclass(frozen=True, slots=True)
class ChunkTally:
    """How many images of one chunk are done and failed. ``has_result``: the counts are final."""

    number: int
    done: int
    failed: int
    has_result: bool


def tallies(services: Services, run: str) -> list[ChunkTally]:
    """The chunks that have begun, in the order of their numbers."""
    results = _beats(services, f"{run}/results/")
    beats = _beats(services, f"{run}/heartbeats/") | results
    return [ChunkTally(number, beat.done, beat.failed, number in results) for number, beat in sorted(beats.items())]


def follow(services: Services, spec: RunSpec, seconds: float = 1.0) -> Iterator[RunStatus]:
    """The status again and again until the run is over; the last one is final.

    Raises RunFailed where there is no job to wait for, for a minute.
    """
    last_job = time.monotonic()
    while True:
        now = status(services, spec)
        yield now
        if now.is_over:
            return
        if now.state != "submitting":
            last_job = time.monotonic()
        elif services.runs.stat(run_path(spec.run)) is None:
            raise UnknownRun(f"run {spec.run} has been deleted")
        elif time.monotonic() - last_job > PATIENCE_SECONDS:
            raise RunFailed(f"run {spec.run} has no job to wait for", now.note or NO_JOB)
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class _Seen:
    beats: list[Heartbeat]
    results: int
    job: Job | None
    counts: TaskCounts
    nodes: dict[str, int]
    note: str | None
    failed_tasks: tuple[FailedTask, ...]
    state: State


def _beats(services: Services, prefix: str) -> dict[int, Heartbeat]:
    """The heartbeats below a prefix, by chunk. A result carries the last one, so it counts even if nobody wrote it."""
    beats = {}
    for blob in services.runs.list(prefix, metadata=True):
        if HEARTBEAT_METADATA in blob.metadata:
            beat = parse(Heartbeat, blob.metadata[HEARTBEAT_METADATA], blob.path)
            beats[beat.chunk] = beat
    return beats


def _ask_batch(services: Services, spec: RunSpec) -> tuple[Job | None, TaskCounts, dict[str, int], str | None]:
    try:
        job = next(reversed(services.batch.jobs(spec.run)), None)
        counts = services.batch.task_counts(job.id) if job else TaskCounts()
        return job, counts, services.batch.node_counts(services.settings.pool), None if job else NO_JOB
    except ServiceError as error:
        return (
            None,
            TaskCounts(),
            {},
            f"Azure Batch does not answer, this is what blob storage knows: {error.message}",
        )


def _state(spec: RunSpec, job: Job | None, results: int) -> State:
    if results >= spec.chunks:
        return "completed"
    if job is None:
        return "submitting"
    if job.state not in {"completed", "terminating", "deleting"}:
        return "running"
    return "cancelled" if job.termination_reason == "cancelled by the user" else "failed"


def _summary(spec: RunSpec, seen: _Seen) -> RunStatus:
    beats = seen.beats
    done = sum(beat.done for beat in beats)
    failed = sum(beat.failed for beat in beats) + spec.rejected
    over = seen.state in {"completed", "cancelled", "failed"}
    started = min((beat.started for beat in beats), default=None)
    last = max((beat.updated for beat in beats), default=None)
    rate = _rate(started, last if over else datetime.now(UTC), done + failed - spec.rejected)
    left = max(spec.images - done - failed, 0)
    note = None if over and seen.note == NO_JOB else seen.note
    return RunStatus(
        run=spec.run,
        state=seen.state,
        dataset=spec.dataset,
        images=spec.images,
        done=done,
        failed=failed,
        lost=left if over else 0,
        bytes_in=sum(beat.bytes_in for beat in beats),
        bytes_out=sum(beat.bytes_out for beat in beats),
        chunks=_chunk_counts(spec, seen),
        nodes=seen.nodes,
        created=spec.created,
        started=started,
        ended=(seen.job.ended if seen.job else None) or (last if over else None),
        images_per_second=rate,
        eta_seconds=left / rate if rate and not over else None,
        failed_tasks=seen.failed_tasks,
        note=note,
    )


def _chunk_counts(spec: RunSpec, seen: _Seen) -> ChunkCounts:
    """Tasks as chunks: the last task, which merges the ledger, is none."""
    left = max(spec.chunks - seen.results, 0)
    return ChunkCounts(spec.chunks, seen.results, min(seen.counts.running, left), min(seen.counts.failed, left))


def _rate(started: datetime | None, until: datetime | None, images: int) -> float | None:
    if started is None or until is None or images == 0:
        return None
    return images / max((until - started).total_seconds(), 0.001)
