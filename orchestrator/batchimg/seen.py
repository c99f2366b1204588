"""What a look at an account sees, as values: a pool, nodes, a job, tasks. Times are the service's own."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the service says that went wrong: its code, its message, its details as names and values."""

    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [self.message.strip().rstrip("."), *(f"{name}: {value}" for name, value in self.details)]
        told = "; ".join(part for part in dict.fromkeys(parts) if part)
        return f"{self.code} ({told})" if told else self.code


@dataclass(frozen=True, slots=True)
class Autoscale:
    """A pool's automatic scaling: when it last looked (None: not yet), and what came of it."""

    interval: timedelta | None
    at: datetime | None
    results: str
    error: Trouble | None


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A pool. ``since`` is when its allocation state began: that is how old its resize errors are, too."""

    id: str
    state: str
    allocation: str
    since: datetime | None
    vm_size: str
    slots_per_node: int
    current_dedicated: int
    target_dedicated: int
    current_spot: int
    target_spot: int
    resize_errors: tuple[Trouble, ...]
    autoscale: Autoscale | None
    images: tuple[str, ...]

    @property
    def current(self) -> int:
        """Nodes of both kinds that are there."""
        return self.current_dedicated + self.current_spot

    @property
    def target(self) -> int:
        """Nodes of both kinds that are wanted."""
        return self.target_dedicated + self.target_spot


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node that is not simply idle or running. ``output`` is the end of what its start task printed."""

    id: str
    state: str
    since: datetime | None
    scheduling: str
    errors: tuple[Trouble, ...]
    start_exit_code: int | None
    start_failure: Trouble | None
    output: str = ""


@dataclass(frozen=True, slots=True)
class NodeAge:
    """A node that is there: its kind, and since when it is paid for."""

    id: str
    dedicated: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job. ``ends_by_itself``: all of its tasks have been added. ``limit`` is its wall clock, None for none."""

    id: str
    state: str
    since: datetime | None
    created: datetime | None
    pool: str
    priority: int
    max_parallel: int
    ends_by_itself: bool
    has_preparation: bool
    limit: timedelta | None
    termination_reason: str
    scheduling_error: Trouble | None


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """A task. ``waits_for`` are inclusive ranges of the numbers of tasks that it depends on.

    ``blocks``: where it fails, those that depend on it wait for ever.
    """

    id: str
    state: str
    since: datetime | None
    required_slots: int
    retries: int
    requeues: int
    exit_code: int | None
    failure: Trouble | None
    node: str
    waits_for: tuple[tuple[int, int], ...] = ()
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class PreparationSeen:
    """A job preparation task that failed on a node."""

    node: str
    exit_code: int | None
    failure: Trouble | None
