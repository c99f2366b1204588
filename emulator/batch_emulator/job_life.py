"""The life of a job: what its tasks' ends mean for it, and terminate, disable, enable, delete."""

from __future__ import annotations

import json

from batch_emulator import auto_pools, disposal, endings, failures, preparation, queues, runs
from batch_emulator.account import Account
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Job, Spec, Task
from batch_emulator.errors import BatchError
from batch_emulator.moves import move_job
from batch_emulator.tally import Tally

BLOCKED_STATES = {
    "deleting": "JobBeingDeleted",
    "terminating": "JobBeingTerminated",
    "completed": "JobCompleted",
}


def require_open(job: Job) -> None:
    """Refuse what cannot be done to a job that has ended, or is about to."""
    code = BLOCKED_STATES.get(job.state)
    if code:
        raise BatchError(code)


def begin(account: Account, job: Job) -> None:
    """A new (or reloaded) job starts: its time limit, and the trap of a job without tasks."""
    limit_time(account, job)
    progress(account, job)


def limit_time(account: Account, job: Job) -> None:
    """Set the timer of maxWallClockTime, counted from the job's creation."""
    if job.limit_timer is not None:
        job.limit_timer.cancel()
        job.limit_timer = None
    if job.max_wall_clock == UNLIMITED or job.state in BLOCKED_STATES:
        return
    spent = (account.now() - job.created) / 1e7
    rest = max(0.0, duration_seconds(job.max_wall_clock) - spent)
    job.limit_timer = account.clock.call_later(rest, lambda: _expire(account, job))


def _expire(account: Account, job: Job) -> None:
    if job.state not in BLOCKED_STATES:
        terminate(account, job, "MaxWallClockTimeExpiry")


def task_completed(account: Account, task: Task) -> None:
    """A task has completed: free its dependants, act upon its exit options, see whether the job is done."""
    job = task.job
    if task.deleted:
        account.forget_task(task)
        progress(account, job)
        return
    _act_on_end(account, task)
    progress(account, job)


def _act_on_end(account: Account, task: Task) -> None:
    job = task.job
    options = exit_options(task)
    default = "satisfy" if task.failure is None else "block"
    if options.get("dependencyAction", default) == "satisfy":
        for dependant in queues.satisfy(task):
            queues.push(dependant)
            account.schedule(job.pool_id)
    if task.traits is not None and task.traits.ends_job and job.state not in BLOCKED_STATES:
        terminate(account, job, "JMComplete")
    elif job.on_failure == "performexitoptionsjobaction" and job.state == "active":
        action = options.get("jobAction", "none" if task.failure is None else "terminate")
        if action == "terminate":
            terminate(account, job, "TaskFailed")
        elif action == "disable":
            disable(account, job, endings.REQUEUE)


def task_requeued(account: Account, task: Task) -> None:
    """A task was taken off its node: it may have been the last that its job waited for."""
    if task.deleted:
        account.forget_task(task)
    progress(account, task.job)


def exit_options(task: Task) -> Spec:
    """The exitOptions of the first condition that the task's end meets, or {}."""
    if not task.has_exit_conditions:
        return {}
    conditions: Spec = json.loads(task.spec)["exitConditions"]
    mapped = _mapped_options(conditions, task.exit_code)
    if mapped is not None:
        return mapped
    if task.failure is None:
        return {}
    kind = ""
    if task.failure.code in failures.PREPROCESSING_CODES:
        kind = "preProcessingError"
    elif task.failure.code in failures.UPLOAD_CODES:
        kind = "fileUploadError"
    found: Spec = conditions.get(kind) or conditions.get("default", {})
    return found


def _mapped_options(conditions: Spec, code: int | None) -> Spec | None:
    if code is None:
        return None
    ranges = [(entry["code"], entry["code"], entry) for entry in conditions.get("exitCodes", ())]
    ranges += [(entry["start"], entry["end"], entry) for entry in conditions.get("exitCodeRanges", ())]
    for first, last, entry in ranges:
        if first <= code <= last:
            options: Spec = entry["exitOptions"]
            return options
    return None


def progress(account: Account, job: Job) -> None:
    """Move a job on as soon as nothing of it runs any more, or all its tasks are completed."""
    if job.state == "disabling":
        if not job.occupied:
            _settle(account, job)
    elif job.state in ("terminating", "deleting"):
        if not (job.occupied or job.preparing) and _is_released(account, job):
            _settle(account, job)
    elif job.state == "active" and job.on_all_complete == "terminatejob" and all_completed(job):
        terminate(account, job, "AllTasksComplete")


def _is_released(account: Account, job: Job) -> bool:
    preparation.begin_release(account, job)
    return not job.releasing


def all_completed(job: Job) -> bool:
    """Whether no task is left to run; a job without tasks counts as such."""
    return job.counts.active == 0 and job.counts.running == 0


def _settle(account: Account, job: Job) -> None:
    if job.state == "deleting":
        _forget(account, job)
        return
    now = account.now()
    if job.state == "terminating":
        complete(account, job)
    else:
        move_job(job, "disabled", now)
        account.journal.job(job)


def complete(account: Account, job: Job) -> None:
    """The job has ended."""
    now = account.now()
    move_job(job, "completed", now)
    job.ended = now
    account.journal.job(job)
    auto_pools.job_ended(account, job)
    account.job_ended(job)


def _forget(account: Account, job: Job) -> None:
    account.forget_job(job)
    account.journal.job_gone(job)
    _keep_tally(account, job)
    auto_pools.job_ended(account, job)
    account.job_ended(job)
    pool = account.pools.get(job.pool_id.lower())
    for node in pool.nodes.values() if pool else ():
        account.folders.discard(account.folders.job(node.id, job.id))
    disposal.dispose(account, job)


def _keep_tally(account: Account, job: Job) -> None:
    """The statistics of a schedule hold those of its deleted jobs."""
    schedule = account.schedules.get((job.schedule_id or "").lower())
    if schedule is not None:
        schedule.past.add(job.tally)
        schedule.past.add(Tally(succeeded=job.counts.succeeded, failed=job.counts.failed))
        account.journal.schedule(schedule)


def _stop_all(account: Account, job: Job, ending: str) -> None:
    for task in sorted(job.occupied, key=lambda task: task.seq):
        if task in account.runs:
            runs.stop(account, account.runs[task], ending)


def _change(account: Account, job: Job, target: str) -> None:
    now = account.now()
    move_job(job, target, now)
    job.modified = now
    account.journal.job(job)


def terminate(account: Account, job: Job, reason: str | None) -> None:
    """End a job: running tasks are killed, active ones stay active for ever."""
    require_open(job)
    job.terminate_reason = reason
    _change(account, job, "terminating")
    limit_time(account, job)
    _stop_all(account, job, endings.TERMINATE)
    preparation.stop_preparing(job)
    if job.state == "terminating":
        progress(account, job)


def delete(account: Account, job: Job) -> None:
    """Delete a job, its tasks and their files, as soon as nothing of it runs."""
    if job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    _change(account, job, "deleting")
    limit_time(account, job)
    _stop_all(account, job, endings.TERMINATE)
    preparation.stop_preparing(job)
    if account.jobs.get(job.id.lower()) is job:
        progress(account, job)


def disable(account: Account, job: Job, option: str) -> None:
    """Stop scheduling; running tasks are requeued, terminated or waited for."""
    require_open(job)
    if job.state == "enabling":
        raise BatchError("JobNotActive")
    if job.state == "active":
        _change(account, job, "disabling")
    if option != "wait":
        _stop_all(account, job, option)
    if job.state == "disabling":
        progress(account, job)


def enable(account: Account, job: Job) -> None:
    """Let a disabled job run again."""
    require_open(job)
    if job.state == "active":
        return
    if job.state != "disabled":
        raise BatchError("OperationInvalidForCurrentState", ("State", job.state))
    _change(account, job, "enabling")
    _change(account, job, "active")
    account.schedule(job.pool_id)
    progress(account, job)
