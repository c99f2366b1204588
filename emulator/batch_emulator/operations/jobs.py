"""Operations on jobs."""

from __future__ import annotations

from dataclasses import asdict

from batch_emulator import auto_pools, job_life, job_start
from batch_emulator.account import Account
from batch_emulator.auto_pools import AUTO_POOL
from batch_emulator.durations import UNLIMITED
from batch_emulator.entities import Counts, Job, JobOnNode, Spec, StartTaskProgress
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.operations import job_rules
from batch_emulator.operations.kinds import Kind
from batch_emulator.paging import collect, list_reply, numbered, selection
from batch_emulator.render import job_fields, preparation_fields
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    json_reply,
)

_RECORDED = ("metadata", "networkConfiguration")

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
    "executionInfo/poolId": lambda job: job.pool_id or None,
    "executionInfo/startTime": lambda job: job.started,
    "executionInfo/endTime": lambda job: job.ended,
    "executionInfo/terminateReason": lambda job: job.terminate_reason,
    "poolInfo/poolId": lambda job: job.pool_id,
}


JOBS: Kind[Job] = Kind("jobs", "BatchJob", PROPERTIES, job_fields)


def _url(account: Account, job: Job) -> str:
    return f"{account.url}/jobs/{job.id}"


def create(account: Account, request: Request) -> Reply:
    """Add a job. A pool that it names need not exist yet."""
    spec = request.spec("BatchJobCreateOptions")
    job_id = check_id(spec["id"])
    spec = job_rules.checked(account, spec)
    if job_id.lower() in account.jobs:
        raise BatchError("JobExists")
    if job_id.lower() in account.schedules:
        raise BatchError("JobScheduleWithSameIdExists")
    job = job_start.make(account, job_id, spec)
    # The real service names the job's first run here, not the job.
    return accepted(job.created, f"{account.url}/jobs/job-1", location=True)


def _apply(job: Job, spec: Spec) -> None:
    """Set what can be changed later too; all of it is checked before any of it is set."""
    job_rules.check_numbers(spec)
    limits = spec.get("constraints", {})
    complete = spec.get("onAllTasksComplete", job.on_all_complete)
    if job.on_all_complete == "terminatejob" and complete == "noaction":
        raise property_error("onAllTasksComplete", complete, "It cannot be taken back from terminatejob.")
    job.priority = spec.get("priority", job.priority)
    job.max_parallel = spec.get("maxParallelTasks", job.max_parallel)
    job.max_retries = limits.get("maxTaskRetryCount", job.max_retries)
    job.max_wall_clock = limits.get("maxWallClockTime", job.max_wall_clock)
    job.allow_preemption = spec.get("allowTaskPreemption", job.allow_preemption)
    job.on_all_complete = complete


def list_jobs(account: Account, request: Request) -> Reply:
    """All jobs."""
    return JOBS.page(account, request, numbered(list(account.jobs.values()), request))


def get(account: Account, request: Request) -> Reply:
    """One job."""
    return JOBS.one(account, request, account.job(request.path["jobId"]))


def patch(account: Account, request: Request) -> Reply:
    """Change what is named in the body."""
    return _update(account, request, request.spec("BatchJobUpdateOptions"))


_DEFAULTS: Spec = {
    "priority": 0,
    "maxParallelTasks": -1,
    "allowTaskPreemption": False,
    "onAllTasksComplete": "noaction",
    "metadata": [],
}


def replace(account: Account, request: Request) -> Reply:
    """Set everything that can change; what is not named gets its default."""
    spec = _DEFAULTS | request.spec("BatchJob")
    constraints = {"maxWallClockTime": UNLIMITED, "maxTaskRetryCount": 0}
    spec["constraints"] = constraints | spec.get("constraints", {})
    return _update(account, request, spec)


def _new_pool(job: Job, info: Spec) -> str:
    """The pool that an update names. Of an auto pool only keepAlive can change."""
    auto, own = info.get(AUTO_POOL), job.spec.get(AUTO_POOL)
    if auto is None:
        job_rules.check_pool(info)
        pool_id: str = info["poolId"]
    elif own is None or own["poolLifetimeOption"] != "job":
        raise property_error(f"poolInfo.{AUTO_POOL}", job.id, "The job has no auto pool of its own.")
    else:
        pool_id = job.pool_id
    if pool_id.lower() != job.pool_id.lower() and job.state != "disabled":
        reason = ("Reason", "The pool of a job can change only while it is disabled.")
        raise BatchError("OperationInvalidForCurrentState", reason)
    return pool_id


def _update(account: Account, request: Request, spec: Spec) -> Reply:
    job = account.job(request.path["jobId"])
    check_preconditions(request, job.modified)
    job_life.require_open(job)
    info = spec.get("poolInfo", {})
    pool_id = _new_pool(job, info) if info else job.pool_id
    _apply(job, spec)
    job.spec |= {name: spec[name] for name in _RECORDED if name in spec}
    _use_pool(account, job, pool_id, info)
    job.modified = account.now()
    account.journal.job(job)
    reply = accepted(job.modified, _url(account, job))
    job_life.limit_time(account, job)
    job_life.progress(account, job)
    account.schedule(job.pool_id)
    return reply


def _use_pool(account: Account, job: Job, pool_id: str, info: Spec) -> None:
    if AUTO_POOL in info:
        keep = info[AUTO_POOL].get("keepAlive", job.spec[AUTO_POOL]["keepAlive"])
        job.spec[AUTO_POOL] = job.spec[AUTO_POOL] | {"keepAlive": keep}
    elif pool_id.lower() != job.pool_id.lower():
        auto_pools.job_ended(account, job)
        job.spec.pop(AUTO_POOL, None)
    account.forget_job(job)
    job.pool_id = pool_id
    account.add_job(job)


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


STATUS_PROPERTIES: dict[str, Property[JobOnNode]] = {
    "poolId": lambda entry: entry.address.pool_id,
    "nodeId": lambda entry: entry.address.node_id,
    "jobPreparationTaskExecutionInfo/result": lambda entry: _result(entry.preparation),
    "jobPreparationTaskExecutionInfo/exitCode": lambda entry: (
        entry.preparation.exit_code if entry.preparation else None
    ),
    "jobReleaseTaskExecutionInfo/result": lambda entry: _result(entry.release),
    "jobReleaseTaskExecutionInfo/exitCode": lambda entry: entry.release.exit_code if entry.release else None,
}


def _result(progress: StartTaskProgress | None) -> str | None:
    if progress is None or progress.ended is None:
        return None
    return "failure" if progress.failure else "success"


def preparation_status(account: Account, request: Request) -> Reply:
    """How the preparation and release tasks of a job went, node by node, gone nodes included."""
    job = account.job(request.path["jobId"])
    wanted = selection(request, "BatchJobPreparationAndReleaseTaskStatus")
    if "jobPreparationTask" not in job.spec:
        raise BatchError("JobPreparationTaskNotSpecified")
    began = [entry for entry in job.on_nodes.values() if entry.preparation is not None]
    page = collect(
        request,
        numbered(began, request),
        STATUS_PROPERTIES,
        lambda entry: preparation_fields(account, job, entry, wanted),
    )
    return list_reply(account, request, "jobpreparationandreleasetaskstatuslist", page)
