"""Watch: how far a run is, from heartbeats and results in blob storage and a few calls to Batch.

The number of calls does not grow with the images: a listing shows 5,000 chunks, counts included.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Literal

from batchimg.batch_values import FailedTask, Job, TaskCounts
from batchimg.beats import heartbeats_of, look_at_results, results_of
from batchimg.connect import Services
from batchimg.deletion import is_being_deleted
from batchimg.errors import RunFailed, ServiceError, UnknownRun
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import Heartbeat, RunSpec
from batchimg_worker.errors import StorageError

NO_JOB = "There is no job. If the submit was interrupted, or the job deleted, type it again: it goes on where it was."
OUTAGE_SECONDS = 600.0  # of blob storage that `follow` rides out
AWAY = frozenset({"Unreachable", "ServerBusy", "InternalError", "OperationTimedOut"})
PATIENCE_SECONDS = 60.0  # how long `follow` waits for a job to appear
JOB_GONE = "Its job was deleted. Type the same `batchimg submit`: it does what is missing."
DELETING = "A deletion of it was begun, and is at work or was interrupted: `batchimg delete` of it goes on."
DAMAGE = "its chunk counts as not done; the same `batchimg submit`, or `batchimg retry`, does it again."
State = Literal["submitting", "running", "completed", "cancelled", "failed", "deleting"]
OVER = frozenset({"completed", "cancelled", "failed", "deleting"})
NOT_SENT = "NotSent"  # the cause of images that stayed behind
SLOW_FACTOR = 2.0
FEWEST_FINISHED = 3  # chunks, before others are called slow
SHORTEST_SLOW = 30.0  # seconds
MOST_SLOW = 10
SILENT = timedelta(minutes=1)  # without a heartbeat: the task is not there any more


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks of a run. ``failed`` ones ended without a result."""

    total: int
    done: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class SlowChunk:
    """A chunk that has been running for more than twice as long as others took: ``seconds``, ``median`` of others."""

    chunk: int
    node: str
    seconds: float
    median: float
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run is. ``lost`` images belong to chunks that ended without a result; ``truncated`` counts those of
    ``done`` that were kept although their end is missing. ``causes`` counts failed images by the type of their error.
    """

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
    causes: dict[str, int]
    slow: tuple[SlowChunk, ...]
    note: str | None
    truncated: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in OVER

    @property
    def all_done(self) -> bool:
        """Whether every image is done."""
        return self.state == "completed" and self.done == self.images


def status(services: Services, spec: RunSpec) -> RunStatus:
    """A run as it is now; it works after its job and its nodes are gone."""
    with ThreadPoolExecutor(2, thread_name_prefix="status") as both:
        reading = both.submit(look_at_results, services, spec.run)
        reading_beats = both.submit(heartbeats_of, services, spec.run)
        job, counts, nodes, note = _ask_batch(services, spec)
        found, running = reading.result(), reading_beats.result()
    results, beats = found.beats, running | found.beats
    if (job is None or job.state == "deleting") and is_being_deleted(services, spec.run):
        state: State = "deleting"
        note = DELETING
    else:
        state = _state(spec, job, len(results))
        if state == "submitting" and beats and note == NO_JOB:  # a task has run: there was a job
            state, note = ("running", None) if _beats_still(beats.values()) else ("failed", JOB_GONE)
    if found.damage and note in {None, NO_JOB, JOB_GONE}:
        note = f"{found.damage[0]}: {DAMAGE}"
    failed_tasks: tuple[FailedTask, ...] = ()
    if job is not None and counts.failed:
        last = str(spec.chunks)
        failed_tasks = tuple(task for task in services.batch.failed_tasks(job.id) if task.id != last)
    slow = () if state in OVER else slow_chunks(beats.values(), datetime.now(UTC))
    return _summary(
        spec, _Seen(list(beats.values()), len(results), job, counts, nodes, note, failed_tasks, slow, state)
    )


def _beats_still(beats: Iterable[Heartbeat]) -> bool:
    """Whether a task of a job that is gone runs on."""
    since = datetime.now(UTC) - SILENT
    return any(beat.state == "running" and beat.updated > since for beat in beats)


@dataclass(frozen=True, slots=True)
class ChunkTally:
    """How many images of one chunk are done and failed. ``has_result``: the counts are final."""

    number: int
    done: int
    failed: int
    has_result: bool


def tallies(services: Services, run: str) -> list[ChunkTally]:
    """The chunks that have begun, in the order of their numbers."""
    results = results_of(services, run)
    beats = heartbeats_of(services, run) | results
    return [ChunkTally(number, beat.done, beat.failed, number in results) for number, beat in sorted(beats.items())]


def follow(services: Services, spec: RunSpec, seconds: float = 1.0) -> Iterator[RunStatus]:
    """The status again and again until the run is over; the last one is final.

    Where blob storage cannot be reached for some minutes, the last one comes again and its note says so; where it
    cannot at the beginning, or for longer, raises StorageError. Raises RunFailed where there is no job to wait for,
    for a minute.
    """
    last_job = last_answer = time.monotonic()
    now: RunStatus | None = None
    while True:
        try:
            now = status(services, spec)
            gone = now.state == "submitting" and services.runs.stat(run_path(spec.run)) is None
        except StorageError as error:
            if error.code not in AWAY or now is None or time.monotonic() - last_answer > OUTAGE_SECONDS:
                raise
            yield replace(now, note=f"{error.message}: the run goes on without this laptop; asking again.")
            last_job = time.monotonic()
            time.sleep(seconds)
            continue
        last_answer = time.monotonic()
        yield now
        if now.is_over:
            return
        if now.state != "submitting":
            last_job = time.monotonic()
        elif gone:
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
    slow: tuple[SlowChunk, ...]
    state: State


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
    over = seen.state in OVER
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
        causes=_causes(beats, spec.rejected),
        slow=seen.slow,
        note=note,
        truncated=sum(beat.truncated or 0 for beat in beats),
    )


def _chunk_counts(spec: RunSpec, seen: _Seen) -> ChunkCounts:
    """Tasks as chunks: the last task, which merges the ledger, is none."""
    left = max(spec.chunks - seen.results, 0)
    return ChunkCounts(spec.chunks, seen.results, min(seen.counts.running, left), min(seen.counts.failed, left))


def slow_chunks(beats: Iterable[Heartbeat], now: datetime) -> tuple[SlowChunk, ...]:
    """The stragglers among the chunks that run, the slowest first; none before a few chunks have finished."""
    beats = list(beats)
    finished = [(beat.updated - beat.started).total_seconds() for beat in beats if beat.state == "finished"]
    if len(finished) < FEWEST_FINISHED:
        return ()
    usual = median(finished)
    found = [
        SlowChunk(beat.chunk, beat.node, seconds, usual, beat.done + beat.failed, beat.total)
        for beat in beats
        if beat.state == "running"
        and (seconds := (now - beat.started).total_seconds()) > max(SLOW_FACTOR * usual, SHORTEST_SLOW)
    ]
    return tuple(sorted(found, key=lambda slow: -slow.seconds)[:MOST_SLOW])


def beats_of(services: Services, run: str) -> list[Heartbeat]:
    """The last heartbeat of each chunk that has begun."""
    beats = heartbeats_of(services, run) | results_of(services, run)
    return [beat for _, beat in sorted(beats.items())]


def open_beats(services: Services, run: str) -> list[Heartbeat]:
    """The heartbeats of the chunks that are not finished."""
    return [beat for beat in heartbeats_of(services, run).values() if beat.state != "finished"]


def _causes(beats: Iterable[Heartbeat], rejected: int) -> dict[str, int]:
    counted = Counter({NOT_SENT: rejected} if rejected else {})
    for beat in beats:
        counted.update(beat.causes or {})
    return dict(counted.most_common())


def _rate(started: datetime | None, until: datetime | None, images: int) -> float | None:
    if started is None or until is None or images == 0:
        return None
    return images / max((until - started).total_seconds(), 0.001)
