"""How a job begins: recorded, given its pool and its job manager task."""

from __future__ import annotations

from batch_emulator import auto_pools, job_life
from batch_emulator.account import Account
from batch_emulator.durations import UNLIMITED
from batch_emulator.entities import Failure, Job, Spec
from batch_emulator.errors import BatchError
from batch_emulator.moves import move_job
from batch_emulator.operations import tasks
from batch_emulator.schedule import JobSchedule

RECORDED = (
    "displayName", "metadata", "networkConfiguration", "commonEnvironmentSettings",
    "jobManagerTask", "jobPreparationTask", "jobReleaseTask",
)  # fmt: skip
_LEADER_ONLY = ("id", "killJobOnCompletion", "runExclusive", "allowLowPriorityNode")


def make(account: Account, job_id: str, spec: Spec, schedule: JobSchedule | None = None) -> Job:
    """Add a job whose spec was checked, and let it begin."""
    now = account.now()
    limits = spec.get("constraints", {})
    job = Job(
        id=job_id,
        key=account.next_job_key,
        pool_id=spec["poolInfo"].get("poolId", ""),
        spec={name: spec[name] for name in RECORDED if name in spec},
        created=now,
        modified=now,
        state_since=now,
        started=now,
        uses_dependencies=spec.get("usesTaskDependencies", False),
        on_failure=spec.get("onTaskFailure", "noaction"),
        on_all_complete=spec.get("onAllTasksComplete", "noaction"),
        priority=spec.get("priority", 0),
        max_parallel=spec.get("maxParallelTasks", -1),
        max_retries=limits.get("maxTaskRetryCount", 0),
        max_wall_clock=limits.get("maxWallClockTime", UNLIMITED),
        allow_preemption=spec.get("allowTaskPreemption", False),
        schedule_id=schedule.id if schedule is not None else None,
    )
    account.next_job_key += 1
    _find_pool(account, job, spec["poolInfo"].get(auto_pools.AUTO_POOL), schedule)
    account.add_job(job)
    account.journal.job(job)
    if job.scheduling_error is not None:
        move_job(job, "terminating", now)
        job_life.complete(account, job)
        return job
    leader = job.spec.get("jobManagerTask")
    if leader is not None:
        own = {name: value for name, value in leader.items() if name not in _LEADER_ONLY}
        tasks.add(account, job, {"id": leader["id"], **own}, now)
        account.schedule(job.pool_id)
    job_life.begin(account, job)
    return job


def _find_pool(account: Account, job: Job, auto: Spec | None, schedule: JobSchedule | None) -> None:
    """Make the pool of an auto pool specification; if that fails, the job ends with a scheduling error."""
    if auto is None:
        return
    auto = {"keepAlive": False, **auto}
    job.spec[auto_pools.AUTO_POOL] = auto
    shared = schedule is not None and auto["poolLifetimeOption"] == "jobschedule"
    if shared and schedule is not None and (schedule.pool_id or "").lower() in account.pools:
        job.pool_id = schedule.pool_id or ""
        return
    try:
        job.pool_id = auto_pools.create(account, auto)
    except BatchError as error:
        details = tuple(error.values)
        job.scheduling_error = Failure("usererror", error.code, error.kind.message, details)
        return
    if shared and schedule is not None:
        schedule.pool_id = job.pool_id
