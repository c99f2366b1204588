"""Snapshot: a run and everything at Azure Batch that it needs, read in a number of calls that does not grow."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from batchimg.batch_look import Look
from batchimg.batch_values import TaskCounts
from batchimg.connect import Services
from batchimg.damaged_results import damage_of
from batchimg.errors import ServiceError
from batchimg.refusal import Refusal, refusal_of
from batchimg.seen import JobSeen, NodeSeen, PoolSeen, PreparationSeen, TaskSeen
from batchimg.watch import RunStatus, open_beats, status
from batchimg_worker.contract import Heartbeat, RunSpec

START_FAILED = "starttaskfailed"
MOST_READ = 50  # results, and as many manifests
FAILED = "executionInfo/result eq 'failure'"


@dataclass(frozen=True, slots=True)
class Beat:
    """A chunk that has no result yet: seconds since its last heartbeat (``age``) and since its first (``running``)."""

    chunk: int
    node: str
    age: float
    running: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run and what it needs, at one moment.

    Lists of tasks and nodes hold the first few of them, counts count all; states of nodes are in lower case. ``pool``
    is None where it does not exist, ``job`` where there is none. ``unreachable`` says why Azure Batch told nothing:
    then all else of it is empty. Of a run that is over, only its job and its failed tasks are read. ``damage`` says
    what is wrong with results and manifests of a run that is over, or of which tasks failed and none runs; some dozens
    are read.
    """

    at: datetime
    run: RunStatus
    pool_id: str
    pool: PoolSeen | None = None
    node_states: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[NodeSeen, ...] = ()
    job: JobSeen | None = None
    active_jobs: tuple[JobSeen, ...] = ()
    counts: TaskCounts = field(default_factory=TaskCounts)
    waiting: tuple[TaskSeen, ...] = ()
    running: tuple[TaskSeen, ...] = ()
    failed: tuple[TaskSeen, ...] = ()
    preparations: tuple[PreparationSeen, ...] = ()
    beats: tuple[Beat, ...] = ()
    refusal: Refusal | None = None
    unreachable: str = ""
    damage: tuple[str, ...] = ()

    def age(self, moment: datetime | None) -> float | None:
        """Seconds since then, never below 0, for clocks differ; None where the moment is not known."""
        return None if moment is None else max(0.0, (self.at - moment).total_seconds())

    @property
    def rivals(self) -> tuple[JobSeen, ...]:
        """Other active jobs on the same pool."""
        mine = self.job.id if self.job else None
        return tuple(job for job in self.active_jobs if job.pool == self.pool_id and job.id != mine)


def take(services: Services, spec: RunSpec, now: RunStatus | None = None) -> Snapshot:
    """Look at a run; ``now`` is its status, if that is known already."""
    bare = Snapshot(at=datetime.now(UTC), run=now or status(services, spec), pool_id=services.settings.pool)
    if bare.run.state in {"completed", "failed", "cancelled"}:
        bare = replace(bare, damage=damage_of(services, spec, MOST_READ))
    try:
        jobs = services.batch.look.jobs(spec.run)
        if not jobs:
            return replace(_with_pool(bare, services), refusal=refusal_of(services.runs, spec.run))
        known = replace(bare, job=jobs[-1], pool_id=jobs[-1].pool or bare.pool_id)
        known = _with_tasks(known, jobs[-1], services)
        if known.run.is_over:
            return known
        if known.counts.failed and not known.counts.running:
            known = replace(known, damage=damage_of(services, spec, MOST_READ))
        return _with_pool(_with_beats(known, services), services)
    except ServiceError as error:
        return replace(bare, unreachable=error.message)


def _with_tasks(known: Snapshot, job: JobSeen, services: Services) -> Snapshot:
    look = services.batch.look
    counts = services.batch.task_counts(job.id)
    known = replace(known, counts=counts, failed=tuple(look.tasks(job.id, FAILED)) if counts.failed else ())
    if known.run.is_over:
        return known
    return replace(
        known,
        waiting=tuple(look.tasks(job.id, "state eq 'active'")),
        running=tuple(look.tasks(job.id, "state eq 'running'")),
        preparations=tuple(look.failed_preparations(job.id)) if job.has_preparation else (),
    )


def _with_pool(known: Snapshot, services: Services) -> Snapshot:
    look = services.batch.look
    jobs = tuple(look.active_jobs())
    pool = look.pool(known.pool_id)
    if pool is None:
        return replace(known, active_jobs=jobs)
    return replace(
        known,
        active_jobs=jobs,
        pool=pool,
        node_states={state.lower(): number for state, number in services.batch.node_counts(pool.id).items()},
        nodes=_told(look, pool.id, look.sick_nodes(pool.id)),
    )


def _told(look: Look, pool: str, nodes: list[NodeSeen]) -> tuple[NodeSeen, ...]:
    """The nodes, the first one whose start task failed with what that printed: the others print the same."""
    first = next((node for node in nodes if node.state == START_FAILED), None)
    if first is None:
        return tuple(nodes)
    output = look.start_task_output(pool, first.id)
    return tuple(replace(node, output=output) if node is first else node for node in nodes)


def _with_beats(known: Snapshot, services: Services) -> Snapshot:
    beats = open_beats(services, known.run.run)
    return replace(known, beats=tuple(_beat(known, one) for one in beats))


def _beat(known: Snapshot, beat: Heartbeat) -> Beat:
    return Beat(beat.chunk, beat.node, known.age(beat.updated) or 0.0, known.age(beat.started) or 0.0)
