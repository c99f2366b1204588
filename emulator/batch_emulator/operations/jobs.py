"""Operations on jobs."""

from __future__ import annotations

from dataclasses import asdict

from batch_emulator import job_life
from batch_emulator.account import Account
from batch_emulator.durations import UNLIMITED
from batch_emulator.entities import Counts, Job, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.paging import check_expand, collect, list_reply, numbered, selection
from batch_emulator.render import job_fields
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    element,
    json_reply,
)

_RECORDED = ("displayName", "metadata", "networkConfiguration", "commonEnvironmentSettings")

PROPERTIES: dict[str, Property[Job]] = {
    "id": lambda job: job.id,
    "displayName": lambda job: job.spec.get("displayName"),
    "state": lambda job: job.state,
    "stateTransitionTime": lambda job: job.state_since,
    "previousState": lambda job: job.previous_state,
    "previousStateTransitionTime": lambda job: job.previous_since,
    "creationTime": lambda job: job.created,
    "lastModified": lambda job: job.modified,
    "priority": lambda job: job.priority,
    "onAllTasksComplete": lambda job: job.on_all_complete,
    "onTaskFailure": lambda job: job.on_failure,
    "executionInfo/poolId": lambda job: job.pool_id,
    "executionInfo/startTime": lambda job: job.started,
    "executionInfo/endTime": lambda job: job.ended,
    "executionInfo/terminateReason": lambda job: job.terminate_reason,
    "poolInfo/poolId": lambda job: job.pool_id,
}


def _url(account: Account, job: Job) -> str:
    return f"{account.url}/jobs/{job.id}"


def _pool_id(spec: Spec) -> str:
    pool_id = spec["poolInfo"].get("poolId")
    if pool_id is None:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "poolInfo.poolId"))
    return check_id(pool_id, "poolInfo.poolId")


def create(account: Account, request: Request) -> Reply:
    """Add a job. Its pool need not exist yet."""
    spec = request.spec("BatchJobCreateOptions")
    job_id = check_id(spec["id"])
    pool_id = _pool_id(spec)
    if job_id.lower() in account.jobs:
        raise BatchError("JobExists")
    now = account.now()
    job = Job(
        id=job_id,
        key=account.next_job_key,
        pool_id=pool_id,
        spec={name: spec[name] for name in _RECORDED if name in spec},
        created=now,
        modified=now,
        state_since=now,
        started=now,
        uses_dependencies=spec.get("usesTaskDependencies", False),
        on_failure=spec.get("onTaskFailure", "noaction"),
    )
    _apply(job, spec)
    account.next_job_key += 1
    account.add_job(job)
    account.journal.job(job)
    job_life.begin(account, job)
    # The real service names the job's first run here, not the job.
    return accepted(job.modified, f"{account.url}/jobs/job-1", location=True)


def _apply(job: Job, spec: Spec) -> None:
    """Set what can be changed later too; all of it is checked before any of it is set."""
    priority = spec.get("priority", job.priority)
    if not -1000 <= priority <= 1000:
        raise property_error("priority", priority, "Expected -1000 to 1000.")
    parallel = spec.get("maxParallelTasks", job.max_parallel)
    if parallel != -1 and parallel < 1:
        raise property_error("maxParallelTasks", parallel, "Expected -1 or a number above 0.")
    limits = spec.get("constraints", {})
    retries = limits.get("maxTaskRetryCount", job.max_retries)
    if retries < -1:
        raise property_error("constraints.maxTaskRetryCount", retries, "Expected -1 or above.")
    complete = spec.get("onAllTasksComplete", job.on_all_complete)
    if job.on_all_complete == "terminatejob" and complete == "noaction":
        raise property_error("onAllTasksComplete", complete, "It cannot be taken back from terminatejob.")
    job.priority, job.max_parallel = priority, parallel
    job.max_retries = retries
    job.max_wall_clock = limits.get("maxWallClockTime", job.max_wall_clock)
    job.on_all_complete = complete


def list_jobs(account: Account, request: Request) -> Reply:
    """All jobs."""
    check_expand(request)
    wanted = selection(request, "BatchJob")
    jobs = numbered(list(account.jobs.values()), request)
    page = collect(request, jobs, PROPERTIES, lambda job: job_fields(account, job, wanted))
    return list_reply(account, request, "jobs", page)


def get(account: Account, request: Request) -> Reply:
    """One job."""
    check_expand(request)
    job = account.job(request.path["jobId"])
    check_preconditions(request, job.modified)
    fields = job_fields(account, job, selection(request, "BatchJob"))
    return element(account.url, "jobs", fields, job.modified)


def patch(account: Account, request: Request) -> Reply:
    """Change what is named in the body."""
    return _update(account, request, request.spec("BatchJobUpdateOptions"))


_DEFAULTS: Spec = {"priority": 0, "maxParallelTasks": -1, "onAllTasksComplete": "noaction", "metadata": []}


def replace(account: Account, request: Request) -> Reply:
    """Set everything that can change; what is not named gets its default."""
    spec = _DEFAULTS | request.spec("BatchJob")
    constraints = {"maxWallClockTime": UNLIMITED, "maxTaskRetryCount": 0}
    spec["constraints"] = constraints | spec.get("constraints", {})
    return _update(account, request, spec)


def _update(account: Account, request: Request, spec: Spec) -> Reply:
    job = account.job(request.path["jobId"])
    check_preconditions(request, job.modified)
    job_life.require_open(job)
    pool_id = _pool_id(spec) if "poolInfo" in spec else job.pool_id
    if pool_id.lower() != job.pool_id.lower() and job.state != "disabled":
        raise BatchError(
            "OperationInvalidForCurrentState", ("Reason", "The pool of a job can change only while it is disabled.")
        )
    _apply(job, spec)
    job.spec |= {name: spec[name] for name in _RECORDED if name in spec}
    account.forget_job(job)
    job.pool_id = pool_id
    account.add_job(job)
    job.modified = account.now()
    account.journal.job(job)
    reply = accepted(job.modified, _url(account, job))
    job_life.limit_time(account, job)
    job_life.progress(account, job)
    account.schedule(job.pool_id)
    return reply


def _open_job(account: Account, request: Request) -> Job:
    job = account.job(request.path["jobId"])
    check_preconditions(request, job.modified)
    return job


def delete(account: Account, request: Request) -> Reply:
    """Delete the job, its tasks and their files."""
    request.flag("force")
    job_life.delete(account, _open_job(account, request))
    return Reply()


def disable(account: Account, request: Request) -> Reply:
    """Stop scheduling tasks of the job."""
    spec = request.spec("BatchJobDisableOptions")
    job = _open_job(account, request)
    job_life.disable(account, job, spec["disableTasks"])
    return accepted(job.modified, _url(account, job))


def enable(account: Account, request: Request) -> Reply:
    """Let a disabled job run again."""
    job = _open_job(account, request)
    job_life.enable(account, job)
    return accepted(job.modified, _url(account, job))


def terminate(account: Account, request: Request) -> Reply:
    """End the job."""
    spec = request.spec("BatchJobTerminateOptions")
    request.flag("force")
    job = _open_job(account, request)
    job_life.terminate(account, job, spec.get("terminateReason", "UserTerminate"))
    return accepted(job.modified, _url(account, job))


def task_counts(account: Account, request: Request) -> Reply:
    """How many tasks, and slots of tasks, are in which state; the cost does not depend on the job's size."""
    job = account.job(request.path["jobId"])
    return json_reply(
        {
            "odata.metadata": f"{account.url}/$metadata#taskcounts/@Element",
            "taskCounts": _counts(job.counts),
            "taskSlotCounts": _counts(job.slot_counts),
        }
    )


def _counts(counts: Counts) -> Spec:
    return asdict(counts) | {"completed": counts.succeeded + counts.failed}
