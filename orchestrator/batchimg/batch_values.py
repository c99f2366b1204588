"""Jobs and tasks as the rest of batchimg sees them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


def job_id(run: str, number: int) -> str:
    """The id of a run's job: the run's own for the first, `RUN-2` for the second."""
    return run if number == 1 else f"{run}-{number}"


def job_number(run: str, job: str) -> int | None:
    """Which of a run's jobs this is; None where it belongs to another run."""
    if job.lower() == run.lower():
        return 1
    rest = job[len(run) + 1 :]
    return int(rest) if job.lower().startswith(f"{run.lower()}-") and rest.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Job:
    """A job's state; ``ended`` is None while it is not completed. ``number`` counts the jobs of one run.

    ``has_all_tasks``: it ends by itself after the last of them. Else it is being submitted, or its submit has died.
    """

    id: str
    number: int
    state: str
    created: datetime | None
    ended: datetime | None
    termination_reason: str | None
    has_all_tasks: bool


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Tasks of a job by state; ``failed`` ones are among ``completed``."""

    active: int = 0
    running: int = 0
    completed: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task that ended badly: its chunk has no result."""

    id: str
    exit_code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """How long a task may take, and how often it is tried again."""

    max_hours: float
    retries: int


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task to add; without ``limits`` it has those of its job, and no end.

    It waits for the end, good or bad, of those whose ids are in ``after``. ``image`` is the container it runs in, None
    for the node itself.
    """

    id: str
    command: str
    limits: TaskLimits | None = None
    after: tuple[range, ...] = ()
    image: str | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job to make. ``environment`` is given to each of its tasks.

    ``max_hours`` from its creation Azure Batch ends it, whatever has become of the laptop.
    """

    id: str
    pool: str
    environment: Mapping[str, str]
    task_retries: int
    max_hours: float
