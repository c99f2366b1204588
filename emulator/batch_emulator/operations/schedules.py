"""Operations on job schedules."""

from __future__ import annotations

from typing import Any

from batch_emulator import schedule_life, statistics
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import UNLIMITED, duration_seconds, timestamp, timestamp_ticks
from batch_emulator.entities import Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.operations import job_rules, jobs
from batch_emulator.operations.kinds import Kind
from batch_emulator.paging import Select, numbered, select_fields
from batch_emulator.schedule import JobSchedule
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    etag,
    version_headers,
    when,
)

MIN_SECONDS = 60
_RECORDED = ("displayName", "metadata")

PROPERTIES: dict[str, Property[JobSchedule]] = {
    "id": lambda schedule: schedule.id,
    "displayName": lambda schedule: schedule.spec.get("displayName"),
    "state": lambda schedule: schedule.state,
    "stateTransitionTime": lambda schedule: schedule.state_since,
    "previousState": lambda schedule: schedule.previous_state,
    "previousStateTransitionTime": lambda schedule: schedule.previous_since,
    "creationTime": lambda schedule: schedule.created,
    "lastModified": lambda schedule: schedule.modified,
    "executionInfo/nextRunTime": lambda schedule: schedule.next_run,
    "executionInfo/endTime": lambda schedule: schedule.ended,
    "jobSpecification/priority": lambda schedule: schedule.job_spec.get("priority", 0),
}


def _url(account: Account, schedule: JobSchedule) -> str:
    return f"{account.url}/jobschedules/{schedule.id}"


def _fields(account: Account, schedule: JobSchedule, wanted: Select = None, *, stats: bool = False) -> dict[str, Any]:
    execution: dict[str, Any] = {"nextRunTime": when(schedule.next_run), "endTime": when(schedule.ended)}
    if schedule.recent_job is not None:
        execution["recentJob"] = {"id": schedule.recent_job, "url": f"{account.url}/jobs/{schedule.recent_job}"}
    fields: dict[str, Any] = {
        "id": schedule.id,
        "displayName": schedule.spec.get("displayName"),
        "url": _url(account, schedule),
        "eTag": etag(schedule.modified),
        "lastModified": timestamp(schedule.modified),
        "creationTime": timestamp(schedule.created),
        "state": schedule.state,
        "stateTransitionTime": timestamp(schedule.state_since),
        "previousState": schedule.previous_state,
        "previousStateTransitionTime": when(schedule.previous_since),
        "schedule": schedule.timing or None,
        "jobSpecification": _shown(schedule.job_spec),
        "executionInfo": {name: value for name, value in execution.items() if value is not None},
        "metadata": schedule.spec.get("metadata"),
    }
    if stats:
        made = schedule_life.jobs(account, schedule)
        fields["stats"] = statistics.of_schedule(account, schedule, made, _url(account, schedule))
    return select_fields(fields, wanted)


SCHEDULES: Kind[JobSchedule] = Kind("jobschedules", "BatchJobSchedule", PROPERTIES, _fields)


def _shown(job_spec: Spec) -> Spec:
    defaults: Spec = {
        "priority": 0,
        "maxParallelTasks": -1,
        "allowTaskPreemption": False,
        "usesTaskDependencies": False,
        "onAllTasksComplete": "noaction",
        "onTaskFailure": "noaction",
    }
    constraints = {"maxWallClockTime": UNLIMITED, "maxTaskRetryCount": 0} | job_spec.get("constraints", {})
    return defaults | job_spec | {"constraints": constraints}


def _check_timing(timing: Spec, now: int) -> Spec:
    for name in ("startWindow", "recurrenceInterval"):
        if name in timing and duration_seconds(timing[name]) < MIN_SECONDS:
            raise property_error(f"schedule.{name}", timing[name], "At least one minute.")
    last = timing.get("doNotRunAfter")
    if last is None:
        return timing
    if timestamp_ticks(last) <= now:
        raise property_error("schedule.doNotRunAfter", last, "It is in the past.")
    first = timing.get("doNotRunUntil")
    if first is not None and timestamp_ticks(first) + TICKS_PER_SECOND > timestamp_ticks(last):
        raise property_error("schedule.doNotRunAfter", last, "It must be after doNotRunUntil.")
    return timing


def create(account: Account, request: Request) -> Reply:
    """Add a job schedule; its first job is made at once unless it is told to wait."""
    spec = request.spec("BatchJobScheduleCreateOptions")
    schedule_id = check_id(spec["id"])
    now = account.now()
    timing = _check_timing(spec["schedule"], now)
    job_spec = job_rules.checked(account, spec["jobSpecification"], scheduled=True)
    if schedule_id.lower() in account.schedules:
        raise BatchError("JobScheduleExists")
    if schedule_id.lower() in account.jobs:
        raise BatchError("JobWithSameIdExists")
    recorded = {name: spec[name] for name in _RECORDED if name in spec}
    schedule = JobSchedule(schedule_id, recorded, timing, job_spec, now, now, now)
    account.schedules[schedule_id.lower()] = schedule
    account.journal.schedule(schedule)
    schedule_life.begin(account, schedule)
    return accepted(schedule.modified, _url(account, schedule), location=True)


def list_schedules(account: Account, request: Request) -> Reply:
    """All job schedules."""
    return SCHEDULES.page(account, request, numbered(list(account.schedules.values()), request))


def _schedule(account: Account, request: Request) -> JobSchedule:
    schedule = account.job_schedule(request.path["jobScheduleId"])
    check_preconditions(request, schedule.modified)
    return schedule


def get(account: Account, request: Request) -> Reply:
    """One job schedule."""
    return SCHEDULES.one(account, request, account.job_schedule(request.path["jobScheduleId"]))


def exists(account: Account, request: Request) -> Reply:
    """Whether a job schedule exists: 200 or 404."""
    return Reply(version_headers(_schedule(account, request).modified))


def patch(account: Account, request: Request) -> Reply:
    """Change what is named in the body; jobs that were made already are not concerned."""
    return _update(account, request, request.spec("BatchJobScheduleUpdateOptions"))


def replace(account: Account, request: Request) -> Reply:
    """Set everything that can change; what is not named is removed."""
    return _update(account, request, {"schedule": {}, "metadata": []} | request.spec("BatchJobSchedule"))


def _update(account: Account, request: Request, spec: Spec) -> Reply:
    schedule = _schedule(account, request)
    schedule_life.require_open(schedule)
    now = account.now()
    timing = _check_timing(spec["schedule"], now) if "schedule" in spec else None
    if "jobSpecification" in spec:
        schedule.job_spec = job_rules.checked(account, spec["jobSpecification"], scheduled=True)
    if "metadata" in spec:
        schedule.spec["metadata"] = spec["metadata"]
    schedule.modified = now
    account.journal.schedule(schedule)
    if timing is not None:
        schedule_life.retime(account, schedule, timing)
        schedule_life.advance(account, schedule)
    return accepted(schedule.modified, _url(account, schedule))


def _changed(account: Account, schedule: JobSchedule) -> Reply:
    return accepted(schedule.modified, _url(account, schedule))


def disable(account: Account, request: Request) -> Reply:
    """Make no more jobs until it is enabled."""
    schedule = _schedule(account, request)
    schedule_life.disable(account, schedule)
    return _changed(account, schedule)


def enable(account: Account, request: Request) -> Reply:
    """Let a disabled schedule make jobs again."""
    schedule = _schedule(account, request)
    schedule_life.enable(account, schedule)
    return _changed(account, schedule)


def terminate(account: Account, request: Request) -> Reply:
    """End the schedule and the job that runs."""
    request.flag("force")
    schedule = _schedule(account, request)
    schedule_life.terminate(account, schedule)
    return _changed(account, schedule)


def delete(account: Account, request: Request) -> Reply:
    """Delete the schedule with all its jobs."""
    request.flag("force")
    schedule_life.delete(account, _schedule(account, request))
    return Reply()


def list_jobs(account: Account, request: Request) -> Reply:
    """The jobs of a schedule."""
    schedule = account.job_schedule(request.path["jobScheduleId"])
    return jobs.JOBS.page(account, request, numbered(schedule_life.jobs(account, schedule), request))
