"""What the account holds: pools with nodes, jobs with tasks. A million tasks fit, so a task is slots only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_emulator.autoscale.samples import History
from batch_emulator.clock import Timer
from batch_emulator.commands import Process
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.tally import Tally

Spec = dict[str, Any]
"""A checked JSON object of the request, as the wire writes it."""

UNLIMITED_SECONDS = duration_seconds(UNLIMITED)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task, a start task or a resize did not succeed, as the wire's failureInfo says it."""

    category: str
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TaskConstraints:
    """Limits of a task, shared by all tasks that have the same; durations as the wire writes them."""

    max_wall_clock: str = UNLIMITED
    retention: str = "P7D"
    max_retries: int = 0


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a task ran; outlives the node, shared by all tasks of the node."""

    pool_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets a task apart from an ordinary one; None on a task means: nothing."""

    leads: bool = False
    """It is the job manager task of its job."""
    ends_job: bool = False
    exclusive: bool = False
    """Nothing else runs on its node while it does."""
    dedicated_only: bool = False
    instances: int = 0
    """Nodes that a multi-instance task needs at once; 0 for any other task."""
    affinity: str | None = None
    """The node it would like to run on."""


@dataclass(slots=True)
class Subtask:
    """One of the further instances of a multi-instance task, on a node of its own."""

    number: int
    address: NodeAddress
    state: str
    state_since: int
    started: int
    previous_state: str | None = None
    previous_since: int | None = None
    ended: int | None = None
    exit_code: int | None = None
    failure: Failure | None = None


@dataclass(slots=True, eq=False)
class Task:
    """One task. Times are ticks; `spec` is the user's JSON without id and constraints."""

    job: Job
    id: str
    seq: int
    spec: bytes
    constraints: TaskConstraints
    required_slots: int
    created: int
    modified: int
    state_since: int
    state: str = "active"
    previous_state: str | None = None
    previous_since: int | None = None
    started: int | None = None
    ended: int | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    result: str | None = None
    retries: int = 0
    last_retry: int | None = None
    requeues: int = 0
    last_requeue: int | None = None
    address: NodeAddress | None = None
    waits_for: int = 0
    has_exit_conditions: bool = False
    satisfied: bool = False
    queued: bool = False
    deleted: bool = False
    traits: Traits | None = None
    subtasks: list[Subtask] | None = None
    tally: Tally | None = None
    """What its processes have used so far; None before the first has ended."""


@dataclass(slots=True)
class Counts:
    """How many tasks (or slots of tasks) a job has in each group; kept up to date by every change."""

    active: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(slots=True)
class RangeWatch:
    """A task that waits for the integer ids `start` to `end`, both included."""

    start: int
    end: int
    task: Task


class SideCommand(Protocol):
    """A command that runs on a node beside its tasks and takes no slot."""

    def stop(self) -> None:
        """End it; the node is told when it has ended."""


@dataclass(slots=True, eq=False)
class Preparing:
    """A preparation task that runs, and what is to be told whether it succeeded."""

    command: SideCommand
    waiting: list[Callable[[bool], None]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class JobOnNode:
    """What a job does on a node beside its tasks: its preparation and its release task."""

    address: NodeAddress
    booted: int
    """When the node had started last before the preparation; another start may ask for another one."""
    preparation: StartTaskProgress | None = None
    release: StartTaskProgress | None = None
    ran_tasks: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """One job. `spec` holds what is only recorded (displayName, metadata, ...)."""

    id: str
    key: int
    pool_id: str
    spec: Spec
    created: int
    modified: int
    state_since: int
    priority: int = 0
    max_parallel: int = -1
    uses_dependencies: bool = False
    on_all_complete: str = "noaction"
    on_failure: str = "noaction"
    max_wall_clock: str = UNLIMITED
    max_retries: int = 0
    state: str = "active"
    previous_state: str | None = None
    previous_since: int | None = None
    started: int = 0
    ended: int | None = None
    terminate_reason: str | None = None
    next_seq: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    order: list[Task | None] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    slot_counts: Counts = field(default_factory=Counts)
    ready: dict[int, deque[Task]] = field(default_factory=dict)
    occupied: set[Task] = field(default_factory=set)
    waiting: dict[str, list[Task]] = field(default_factory=dict)
    watches: list[RangeWatch] = field(default_factory=list)
    satisfied: set[str] = field(default_factory=set)
    limit_timer: Timer | None = None
    allow_preemption: bool = False
    schedule_id: str | None = None
    scheduling_error: Failure | None = None
    special: deque[Task] = field(default_factory=deque)
    """Ready tasks that need more than slots: exclusive ones, and those of many instances."""
    on_nodes: dict[str, JobOnNode] = field(default_factory=dict)
    preparing: dict[str, Preparing] = field(default_factory=dict)
    """Preparation tasks that run now, by node."""
    retained: dict[str, deque[Task]] = field(default_factory=dict)
    """Tasks that have ended, by the retention time of their files, in the order in which they did."""
    retention_timers: dict[str, Timer] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    """Of all its tasks, as far as their processes have ended."""
    past: Tally = field(default_factory=Tally)
    """Of those of its tasks that are deleted; a part of `tally`."""
    releasing: set[str] | None = None
    """Nodes whose release task is still to end; None before the job's end."""


@dataclass(slots=True, eq=False)
class Node:
    """One node of a pool; `free_slots` counts what no task occupies."""

    pool: Pool
    id: str
    address: NodeAddress
    ip: str
    dedicated: bool
    allocated: int
    booted: int
    state_since: int
    free_slots: int
    state: str = "creating"
    scheduling: str = "enabled"
    total_run: int = 0
    total_succeeded: int = 0
    running: set[Task] = field(default_factory=set)
    recent: deque[Task] = field(default_factory=lambda: deque(maxlen=10))
    start_task: Spec | None = None
    start_task_progress: StartTaskProgress | None = None
    errors: list[Failure] = field(default_factory=list)
    leaving: Leaving | None = None
    start_process: Process | None = None
    side_commands: set[SideCommand] = field(default_factory=set)
    users: dict[str, NodeUser] = field(default_factory=dict)
    packages: list[Spec] = field(default_factory=list)
    """References to the packages that were unpacked when it booted: the pool may name others by now."""
    wiped: int = 0
    """When its files were deleted last."""


@dataclass(frozen=True, slots=True)
class NodeUser:
    """A user account of a node: recorded, not made. `expires` in ticks."""

    name: str
    is_admin: bool
    expires: int


@dataclass(slots=True)
class StartTaskProgress:
    """How the start task of a node is doing."""

    started: int
    ended: int | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    retries: int = 0
    last_retry: int | None = None


@dataclass(slots=True)
class Leaving:
    """A node is to leave, or to restart, as soon as its tasks have ended in the way `option` says."""

    option: str
    then: str
    watched: bool = False
    """A timer looks whether the retention of all its tasks' files is over."""


@dataclass(slots=True, eq=False)
class Pool:
    """One pool. `spec` holds what is only recorded and given back."""

    id: str
    spec: Spec
    vm_size: str
    created: int
    modified: int
    state_since: int
    allocation_since: int
    slots_per_node: int = 1
    fill: str = "spread"
    resize_timeout: str = "PT15M"
    target_dedicated: int = 0
    target_low_priority: int = 0
    start_task: Spec | None = None
    state: str = "active"
    allocation: str = "steady"
    nodes: dict[str, Node] = field(default_factory=dict)
    resize_errors: list[Failure] = field(default_factory=list)
    auto_scale: bool = False
    formula: str | None = None
    interval: str = "PT15M"
    scaled_since: int = 0
    """When the schedule of evaluations started."""
    last_run: Spec | None = None
    """The autoScaleRun of the last evaluation, as the wire shows it."""
    history: History = field(default_factory=History)
    scale_asked: int | None = None
    """When auto scale was last asked for; it may not be asked for too often."""
    scale_timer: Timer | None = None
    resize_timer: Timer | None = None
    refused: dict[bool, int] = field(default_factory=dict)
    """Nodes, dedicated or not, that quotas do not allow although they are wanted."""
    resize_since: int = 0
    """Which resize a timer belongs to."""
    core_seconds: float = 0.0
    """What its dedicated nodes have used that have left it."""
