"""A job schedule: when it makes jobs, and of which kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch_emulator import states
from batch_emulator.clock import Timer
from batch_emulator.entities import Spec
from batch_emulator.tally import Tally


@dataclass(slots=True, eq=False)
class JobSchedule:
    """One job schedule. Times are ticks; `timing` and `job_spec` are the wire's schedule and jobSpecification."""

    id: str
    spec: Spec
    timing: Spec
    job_spec: Spec
    created: int
    modified: int
    state_since: int
    state: str = "active"
    previous_state: str | None = None
    previous_since: int | None = None
    ended: int | None = None
    next_run: int | None = None
    last_run: int | None = None
    """The moment for which its last job was made."""
    jobs_made: int = 0
    recent_job: str | None = None
    pool_id: str | None = None
    """The auto pool that its jobs share."""
    timer: Timer | None = None
    past: Tally = field(default_factory=Tally)
    """Of its jobs that are deleted."""


SCHEDULE_FIELDS = (
    "id", "spec", "timing", "job_spec", "created", "modified", "state_since", "state", "previous_state",
    "previous_since", "ended", "next_run", "last_run", "jobs_made", "recent_job", "pool_id", "past",
)  # fmt: skip


def move_schedule(schedule: JobSchedule, target: str, now: int) -> None:
    """Change the state of a job schedule."""
    states.check("job schedule", schedule.state, target)
    schedule.previous_state, schedule.previous_since = schedule.state, schedule.state_since
    schedule.state, schedule.state_since = target, now
