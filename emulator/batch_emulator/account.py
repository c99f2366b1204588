"""The account: everything that operations and the life of pools, jobs and tasks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from batch_emulator.background import Background, LoopBackground
from batch_emulator.clock import Clock, Timer
from batch_emulator.commands import Launcher, Process
from batch_emulator.directories import NodeFolders, TaskFolder
from batch_emulator.entities import Job, Node, Pool, SideCommand, Spec, Task
from batch_emulator.errors import BatchError
from batch_emulator.journal import Journal
from batch_emulator.moves import count_task
from batch_emulator.schedule import JobSchedule
from batch_emulator.tally import Tally
from batch_emulator.usage import Usage


@dataclass(frozen=True, slots=True)
class Settings:
    """What the emulator was started with."""

    account_name: str = "localbatch"
    node_environment: Mapping[str, str] = field(default_factory=dict)
    isolation: Literal["auto", "on", "off"] = "auto"
    """Whether tasks are kept away from the emulator's files; `auto` does it where tasks will not miss anything."""
    kept_away: tuple[Path, ...] = ()
    """Files outside of the data directory that tasks must not read, as that with the key for a supervisor."""
    node_delay: float = 0.1
    """Seconds that each step of a node's start takes."""
    allocation_delay: float | None = None
    """Seconds from a resize to its first new node; None: as `node_delay`."""
    recovery_delay: float = 2.0
    """Seconds until a node that was preempted or lost is replaced."""
    dedicated_core_quota: int | None = None
    low_priority_core_quota: int | None = None
    time_scale: float = 1.0
    """How many seconds of the service pass in one second of the machine."""
    strict_casing: bool = False
    """Give the add-task status in lower case, as the schema has it, instead of as the service was recorded."""
    auto_storage: str | None = None
    """URL of the blob service that autoStorageContainerName names containers of."""
    applications: Path | None = None
    """A folder with <application id>/<version>.zip."""


@dataclass(slots=True)
class Capacity:
    """How many nodes can be had at all, beyond quotas; None is as many as asked for. Faults change it."""

    dedicated: int | None = None
    low_priority: int | None = None


@dataclass(slots=True, eq=False)
class Run:
    """A task on a node, from the moment it gets its slots until it gives them back."""

    task: Task
    nodes: list[Node]
    """Where it has slots: one node, or as many as the task has instances, the primary's first."""
    spec: Spec
    folder: TaskFolder
    process: Process | None = None
    ending: str | None = None
    busy: bool = False
    """Files are on their way; the run cannot be closed before that is over."""
    waiting: set[str] = field(default_factory=set)
    """Nodes where the job's preparation task has not ended."""
    coordinating: set[SideCommand] = field(default_factory=set)
    background: list[Process] = field(default_factory=list)
    """Coordination commands that have ended; what they left in the background lives as long as the run."""
    again: Callable[[], None] = lambda: None
    """Start the command once more, in its place."""
    limit: Timer | None = None

    @property
    def node(self) -> Node:
        """Where the (primary) task runs."""
        return self.nodes[0]


def _nothing(_: Task) -> None:
    """Before the account is assembled nobody listens."""


@dataclass(eq=False)
class Account:
    """The one account of an emulator: its entities, and what makes them move."""

    settings: Settings
    clock: Clock
    launcher: Launcher
    journal: Journal
    folders: NodeFolders
    url: str = "http://127.0.0.1"
    pools: dict[str, Pool] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    jobs_by_pool: dict[str, dict[str, Job]] = field(default_factory=dict)
    runs: dict[Task, Run] = field(default_factory=dict)
    background: Background = field(default_factory=LoopBackground)
    schedules: dict[str, JobSchedule] = field(default_factory=dict)
    next_job_key: int = 1
    next_node: int = 1
    capacity: Capacity = field(default_factory=Capacity)
    usage: Usage = field(default_factory=Usage)
    next_sample: int | None = None
    """When the pools are measured next, in ticks; None while there are no pools."""
    watching_lifetimes: bool = False
    """Whether a look at the ages of running tasks is due."""
    issue_token: Callable[[Task], str] | None = None
    """Makes the tokens of tasks; None where no bearer tokens are taken."""
    task_completed: Callable[[Task], None] = _nothing
    task_requeued: Callable[[Task], None] = _nothing
    job_progress: Callable[[Job], None] = lambda _: None
    job_ended: Callable[[Job], None] = lambda _: None
    slots_freed: Callable[[Node], None] = lambda _: None
    schedule: Callable[[str], None] = lambda _: None

    def now(self) -> int:
        """The time in ticks."""
        return self.clock.ticks()

    def pool(self, pool_id: str) -> Pool:
        """The pool of that id, or PoolNotFound."""
        pool = self.pools.get(pool_id.lower())
        if pool is None:
            raise BatchError("PoolNotFound")
        return pool

    def node(self, pool_id: str, node_id: str) -> Node:
        """The node of that id, or NodeNotFound."""
        node = self.pool(pool_id).nodes.get(node_id)
        if node is None:
            raise BatchError("NodeNotFound")
        return node

    def job(self, job_id: str) -> Job:
        """The job of that id, or JobNotFound."""
        job = self.jobs.get(job_id.lower())
        if job is None:
            raise BatchError("JobNotFound")
        return job

    def job_schedule(self, schedule_id: str) -> JobSchedule:
        """The job schedule of that id, or JobScheduleNotFound."""
        schedule = self.schedules.get(schedule_id.lower())
        if schedule is None:
            raise BatchError("JobScheduleNotFound")
        return schedule

    def task(self, job_id: str, task_id: str) -> Task:
        """The task of that id, or TaskNotFound."""
        task = self.job(job_id).tasks.get(task_id.lower())
        if task is None:
            raise BatchError("TaskNotFound")
        return task

    def add_job(self, job: Job) -> None:
        """Let the account and the job's pool know a job."""
        self.jobs[job.id.lower()] = job
        self.jobs_by_pool.setdefault(job.pool_id.lower(), {})[job.id.lower()] = job

    def forget_job(self, job: Job) -> None:
        """Undo `add_job`."""
        self.jobs.pop(job.id.lower(), None)
        self.jobs_by_pool.get(job.pool_id.lower(), {}).pop(job.id.lower(), None)

    def forget_task(self, task: Task) -> None:
        """Take a task that does not run out of its job, and its files off its node."""
        job = task.job
        if job.tasks.pop(task.id.lower(), None) is None:
            return
        job.order[task.seq] = None
        count_task(task, -1)
        self._keep_tally(task)
        self.journal.task_gone(task)
        if task.address is not None:
            self.folders.discard(self.folders.task(task.address.node_id, job.id, task.id).root)

    def _keep_tally(self, task: Task) -> None:
        """The statistics of a job hold what its deleted tasks have used."""
        if task.tally is not None or task.state == "completed":
            ends = Tally(succeeded=int(task.result == "success"), failed=int(task.result == "failure"))
            task.job.tally.add(ends)
            task.job.past.add(ends)
            task.job.past.add(task.tally or Tally())
            self.journal.job(task.job)

    def mark(self, task: Task) -> str:
        """How to find the process of a running task after a restart; '' if it has none."""
        run = self.runs.get(task)
        return run.process.mark if run and run.process else ""
