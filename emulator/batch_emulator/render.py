"""Jobs and tasks as the wire shows them, with the service's defaults filled in."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from batch_emulator import statistics
from batch_emulator.account import Account
from batch_emulator.directories import task_path
from batch_emulator.durations import timestamp
from batch_emulator.entities import Failure, Job, JobOnNode, NodeAddress, StartTaskProgress, Subtask, Task
from batch_emulator.paging import Select, select_fields
from batch_emulator.wire import etag, when

Fields = dict[str, Any]

DEFAULT_IDENTITY: Fields = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
NO_CONTAINER = "run as a plain process of the node: the emulator has no containers"
_SPEC_FREE = frozenset(
    (
        "id",
        "url",
        "eTag",
        "creationTime",
        "lastModified",
        "state",
        "stateTransitionTime",
        "previousState",
        "previousStateTransitionTime",
        "constraints",
        "requiredSlots",
        "executionInfo",
        "nodeInfo",
    )
)
"""Fields of a task that can be told without looking into its spec."""


def present(fields: Fields) -> Fields:
    """Without the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def failure_fields(failure: Failure | None) -> Fields | None:
    """A failureInfo."""
    if failure is None:
        return None
    fields: Fields = {"category": failure.category, "code": failure.code, "message": failure.message}
    if failure.details:
        fields["details"] = [{"name": name, "value": value} for name, value in failure.details]
    return fields


def task_url(account: Account, task: Task) -> str:
    """Where a task is found."""
    return f"{account.url}/jobs/{task.job.id}/tasks/{task.id}"


def task_fields(account: Account, task: Task, wanted: Select = None, *, stats: bool = False) -> Fields:
    """A task."""
    fields: Fields = {
        "id": task.id,
        "url": task_url(account, task),
        "eTag": etag(task.modified),
        "creationTime": timestamp(task.created),
        "lastModified": timestamp(task.modified),
        "state": task.state,
        "stateTransitionTime": timestamp(task.state_since),
        "previousState": task.previous_state,
        "previousStateTransitionTime": when(task.previous_since),
    }
    if wanted is None or not wanted <= _SPEC_FREE:
        fields |= json.loads(task.spec)
        fields.setdefault("userIdentity", DEFAULT_IDENTITY)
    limits = task.constraints
    fields["constraints"] = {
        "maxWallClockTime": limits.max_wall_clock,
        "retentionTime": limits.retention,
        "maxTaskRetryCount": limits.max_retries,
    }
    fields["requiredSlots"] = task.required_slots
    if wanted is None or "executionInfo" in wanted:
        fields["executionInfo"] = execution_fields(task)
        if task.started is not None and b'"containerSettings"' in task.spec:
            fields["executionInfo"] |= container_fields(json.loads(task.spec))
    if task.address is not None and (wanted is None or "nodeInfo" in wanted):
        fields["nodeInfo"] = _node_fields(account, task, task.address)
    if stats:
        fields["stats"] = statistics.of_task(account, task, fields["url"])
    return select_fields(fields, wanted)


def execution_fields(task: Task) -> Fields:
    """A task's executionInfo."""
    return present(
        {
            "startTime": when(task.started),
            "endTime": when(task.ended),
            "exitCode": task.exit_code,
            "failureInfo": failure_fields(task.failure),
            "result": task.result if task.state == "completed" else None,
            "retryCount": task.retries,
            "lastRetryTime": when(task.last_retry),
            "requeueCount": task.requeues,
            "lastRequeueTime": when(task.last_requeue),
        }
    )


def subtask_fields(account: Account, task: Task, subtask: Subtask) -> Fields:
    """One instance of a multi-instance task, other than the primary."""
    node = _node_fields(account, task, subtask.address)
    place = place_fields(node["nodeUrl"], f"{task_path(task.job.id, task.id)}/{subtask.number}")
    result = None
    if subtask.state == "completed":
        result = "failure" if subtask.failure else "success"
    return present(
        {
            "id": subtask.number,
            "nodeInfo": node | place,
            "startTime": timestamp(subtask.started),
            "endTime": when(subtask.ended),
            "exitCode": subtask.exit_code if subtask.state == "completed" else None,
            "failureInfo": failure_fields(subtask.failure),
            "state": subtask.state,
            "stateTransitionTime": timestamp(subtask.state_since),
            "previousState": subtask.previous_state,
            "previousStateTransitionTime": when(subtask.previous_since),
            "result": result,
        }
    )


def _node_fields(account: Account, task: Task, address: NodeAddress) -> Fields:
    node_url = f"{account.url}/pools/{address.pool_id}/nodes/{address.node_id}"
    return place_fields(node_url, task_path(task.job.id, task.id)) | {
        "affinityId": f"TVM:{address.node_id}",
        "nodeUrl": node_url,
        "poolId": address.pool_id,
        "nodeId": address.node_id,
    }


def place_fields(node_url: str, folder: str) -> Fields:
    """Where the files of a task are on its node."""
    return {"taskRootDirectory": folder, "taskRootDirectoryUrl": f"{node_url}/files/{quote(folder)}"}


def pool_info_fields(job: Job) -> Fields:
    """A job's poolInfo: what the client said, not the pool that was made for it."""
    auto = job.spec.get("autoPoolSpecification")
    return {"autoPoolSpecification": auto} if auto is not None else {"poolId": job.pool_id}


def job_fields(account: Account, job: Job, wanted: Select = None, *, stats: bool = False) -> Fields:
    """A job."""
    execution = present(
        {
            "startTime": timestamp(job.started),
            "endTime": when(job.ended),
            "poolId": job.pool_id or None,
            "schedulingError": failure_fields(job.scheduling_error),
            "terminateReason": job.terminate_reason,
        }
    )
    fields: Fields = {
        "id": job.id,
        "displayName": job.spec.get("displayName"),
        "url": f"{account.url}/jobs/{job.id}",
        "eTag": etag(job.modified),
        "lastModified": timestamp(job.modified),
        "creationTime": timestamp(job.created),
        "state": job.state,
        "stateTransitionTime": timestamp(job.state_since),
        "previousState": job.previous_state,
        "previousStateTransitionTime": when(job.previous_since),
        "priority": job.priority,
        "maxParallelTasks": job.max_parallel,
        "usesTaskDependencies": job.uses_dependencies,
        "allowTaskPreemption": job.allow_preemption,
        "constraints": {"maxWallClockTime": job.max_wall_clock, "maxTaskRetryCount": job.max_retries},
        "commonEnvironmentSettings": job.spec.get("commonEnvironmentSettings"),
        "poolInfo": pool_info_fields(job),
        "jobManagerTask": job.spec.get("jobManagerTask"),
        "jobPreparationTask": job.spec.get("jobPreparationTask"),
        "jobReleaseTask": job.spec.get("jobReleaseTask"),
        "metadata": job.spec.get("metadata"),
        "networkConfiguration": job.spec.get("networkConfiguration"),
        "executionInfo": execution,
        "onAllTasksComplete": job.on_all_complete,
        "onTaskFailure": job.on_failure,
    }
    if stats:
        fields["stats"] = statistics.of_job(account, job, fields["url"])
    return select_fields(fields, wanted)


def preparation_fields(account: Account, job: Job, entry: JobOnNode, wanted: Select = None) -> Fields:
    """How a job's preparation and release task went on a node."""
    address = entry.address
    node_url = f"{account.url}/pools/{address.pool_id}/nodes/{address.node_id}"
    fields: Fields = {"poolId": address.pool_id, "nodeId": address.node_id, "nodeUrl": node_url}
    for name, kind, progress in (
        ("jobPreparationTaskExecutionInfo", "jobPreparationTask", entry.preparation),
        ("jobReleaseTaskExecutionInfo", "jobReleaseTask", entry.release),
    ):
        if progress is not None:
            place = place_fields(node_url, task_path(job.id, job.spec[kind]["id"]))
            fields[name] = progress_fields(progress) | place | container_fields(job.spec[kind])
    if entry.release is not None:
        fields["jobReleaseTaskExecutionInfo"].pop("retryCount")
    return select_fields(fields, wanted)


def container_fields(spec: Fields) -> Fields:
    """A containerInfo that says what became of containerSettings; nothing without them."""
    return {"containerInfo": {"state": NO_CONTAINER}} if "containerSettings" in spec else {}


def progress_fields(progress: StartTaskProgress) -> Fields:
    """How a start, preparation or release task is doing."""
    result = None
    if progress.ended is not None:
        result = "failure" if progress.failure else "success"
    return present(
        {
            "state": "running" if progress.ended is None else "completed",
            "startTime": timestamp(progress.started),
            "endTime": when(progress.ended),
            "exitCode": progress.exit_code,
            "failureInfo": failure_fields(progress.failure),
            "retryCount": progress.retries,
            "lastRetryTime": when(progress.last_retry),
            "result": result,
        }
    )
