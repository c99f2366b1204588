"""The life of a job schedule: when it makes its next job, and when it is over."""

from __future__ import annotations

from batch_emulator import auto_pools, job_life, job_start
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import duration_seconds, timestamp_ticks
from batch_emulator.entities import Job, Spec
from batch_emulator.errors import BatchError
from batch_emulator.schedule import JobSchedule, move_schedule

_CODES = {
    "deleting": "JobScheduleBeingDeleted",
    "terminating": "JobScheduleBeingTerminated",
    "completed": "JobScheduleCompleted",
}
TERMINATED = "TerminateJobSchedule"


def require_open(schedule: JobSchedule) -> None:
    """Refuse what cannot be done to a schedule that has ended, or is about to."""
    code = _CODES.get(schedule.state)
    if code:
        raise BatchError(code)


def jobs(account: Account, schedule: JobSchedule) -> list[Job]:
    """The jobs of a schedule, in the order in which they were made."""
    return [job for job in account.jobs.values() if job.schedule_id == schedule.id]


def _active_job(account: Account, schedule: JobSchedule) -> Job | None:
    return next((job for job in jobs(account, schedule) if job.state != "completed"), None)


def _span(schedule: JobSchedule, name: str) -> int | None:
    text = schedule.timing.get(name)
    return int(duration_seconds(text) * TICKS_PER_SECOND) if text is not None else None


def _moment(schedule: JobSchedule, name: str) -> int | None:
    text = schedule.timing.get(name)
    return timestamp_ticks(text) if text is not None else None


def begin(account: Account, schedule: JobSchedule) -> None:
    """A new schedule: its first job comes at once, or when doNotRunUntil says."""
    _plan(account, schedule)
    advance(account, schedule)


def retime(account: Account, schedule: JobSchedule, timing: Spec) -> None:
    """Give a schedule another timing; the jobs that it has made are not concerned."""
    schedule.timing = timing
    _plan(account, schedule)


def _plan(account: Account, schedule: JobSchedule) -> None:
    earliest = _moment(schedule, "doNotRunUntil") or account.now()
    interval = _span(schedule, "recurrenceInterval")
    if schedule.last_run is None:
        schedule.next_run = max(earliest, account.now())
    elif interval is None:
        schedule.next_run = None
    else:
        schedule.next_run = max(schedule.last_run + interval, _moment(schedule, "doNotRunUntil") or 0)


def advance(account: Account, schedule: JobSchedule) -> None:
    """Make the job that is due, or wait for the moment of the next one, or end."""
    if schedule.timer is not None:
        schedule.timer.cancel()
        schedule.timer = None
    if schedule.state != "active" or _active_job(account, schedule) is not None:
        return  # the end of the job comes back here
    now = account.now()
    _skip_lost(schedule, now)
    last = _moment(schedule, "doNotRunAfter")
    if schedule.next_run is None or (last is not None and now >= last):
        _complete(account, schedule)
    elif schedule.next_run <= now:
        _make_job(account, schedule)
    else:
        wait = schedule.next_run if last is None else min(schedule.next_run, last)
        seconds = max(0, wait - now) / TICKS_PER_SECOND
        schedule.timer = account.clock.call_later(seconds, lambda: advance(account, schedule))
        account.journal.schedule(schedule)


def _skip_lost(schedule: JobSchedule, now: int) -> None:
    """A job that was not made within startWindow is not made any more."""
    interval, window = _span(schedule, "recurrenceInterval"), _span(schedule, "startWindow")
    due = schedule.next_run
    if due is None or due > now:
        return
    if interval is not None:
        due += (now - due) // interval * interval
    if window is not None and now - due > window:
        schedule.next_run = due + interval if interval is not None else None
    else:
        schedule.next_run = due


def _make_job(account: Account, schedule: JobSchedule) -> None:
    interval = _span(schedule, "recurrenceInterval")
    schedule.last_run = schedule.next_run
    if schedule.next_run is not None:
        schedule.next_run = schedule.next_run + interval if interval is not None else None
    schedule.jobs_made += 1
    schedule.recent_job = f"{schedule.id}:job-{schedule.jobs_made}"
    account.journal.schedule(schedule)
    job = job_start.make(account, schedule.recent_job, schedule.job_spec, schedule)
    account.journal.schedule(schedule)
    if job.state == "completed":
        account.clock.call_later(0, lambda: advance(account, schedule))


def job_ended(account: Account, job: Job) -> None:
    """A job has ended or is gone: its schedule may go on, or end too."""
    schedule = account.schedules.get((job.schedule_id or "").lower())
    if schedule is None:
        return
    if schedule.state == "terminating":
        _settle_termination(account, schedule)
    elif schedule.state == "deleting":
        _settle_deletion(account, schedule)
    else:
        account.clock.call_later(0, lambda: advance(account, schedule))


def _complete(account: Account, schedule: JobSchedule) -> None:
    move_schedule(schedule, "completed", account.now())
    schedule.ended = schedule.state_since
    schedule.next_run = None
    account.journal.schedule(schedule)
    auto_pools.schedule_ended(account, schedule)


def _change(account: Account, schedule: JobSchedule, target: str) -> None:
    move_schedule(schedule, target, account.now())
    schedule.modified = schedule.state_since
    account.journal.schedule(schedule)
    if schedule.timer is not None:
        schedule.timer.cancel()
        schedule.timer = None


def disable(account: Account, schedule: JobSchedule) -> None:
    """Make no more jobs until it is enabled; the job that runs goes on."""
    require_open(schedule)
    if schedule.state == "active":
        _change(account, schedule, "disabled")


def enable(account: Account, schedule: JobSchedule) -> None:
    """Let a disabled schedule make jobs again."""
    require_open(schedule)
    if schedule.state == "disabled":
        _change(account, schedule, "active")
        advance(account, schedule)


def terminate(account: Account, schedule: JobSchedule) -> None:
    """End the schedule and the job that runs."""
    require_open(schedule)
    _change(account, schedule, "terminating")
    job = _active_job(account, schedule)
    if job is not None and job.state not in job_life.BLOCKED_STATES:
        job_life.terminate(account, job, TERMINATED)
    _settle_termination(account, schedule)


def _settle_termination(account: Account, schedule: JobSchedule) -> None:
    if schedule.state == "terminating" and _active_job(account, schedule) is None:
        _complete(account, schedule)


def delete(account: Account, schedule: JobSchedule) -> None:
    """Delete the schedule with all its jobs."""
    if schedule.state == "deleting":
        raise BatchError("JobScheduleBeingDeleted")
    _change(account, schedule, "deleting")
    for job in jobs(account, schedule):
        if job.state != "deleting":
            job_life.delete(account, job)
    _settle_deletion(account, schedule)


def _settle_deletion(account: Account, schedule: JobSchedule) -> None:
    if schedule.id.lower() in account.schedules and not jobs(account, schedule):
        auto_pools.schedule_ended(account, schedule)
        del account.schedules[schedule.id.lower()]
        account.journal.schedule_gone(schedule)


def resume(account: Account, schedule: JobSchedule) -> None:
    """After a restart: go on where it stood."""
    if schedule.state == "terminating":
        _settle_termination(account, schedule)
    elif schedule.state == "deleting":
        _settle_deletion(account, schedule)
    else:
        advance(account, schedule)
