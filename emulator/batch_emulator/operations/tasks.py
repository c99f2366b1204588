"""Operations on tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from batch_emulator import endings, failures, job_life, queues, runs, traits
from batch_emulator.account import Account
from batch_emulator.durations import UNLIMITED, timestamp
from batch_emulator.entities import Job, Spec, Task, TaskConstraints
from batch_emulator.errors import BatchError, error_fields, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.moves import count_task, move_task
from batch_emulator.operations.kinds import Kind
from batch_emulator.operations.pool_rules import MAX_SLOTS
from batch_emulator.operations.task_rules import check_task
from batch_emulator.paging import select_fields, selection, start
from batch_emulator.render import subtask_fields, task_fields, task_url
from batch_emulator.validation import parse_json
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    etag,
    json_reply,
    version_headers,
)

MAX_TASKS_A_CALL = 100


def _spec_field(name: str) -> Property[Task]:
    def read(task: Task) -> str | None:
        value = json.loads(task.spec).get(name)
        return value if isinstance(value, str) else None

    return read


PROPERTIES: dict[str, Property[Task]] = {
    "id": lambda task: task.id,
    "displayName": _spec_field("displayName"),
    "commandLine": _spec_field("commandLine"),
    "state": lambda task: task.state,
    "stateTransitionTime": lambda task: task.state_since,
    "previousState": lambda task: task.previous_state,
    "previousStateTransitionTime": lambda task: task.previous_since,
    "creationTime": lambda task: task.created,
    "lastModified": lambda task: task.modified,
    "executionInfo/exitCode": lambda task: task.exit_code,
    "executionInfo/result": lambda task: task.result if task.state == "completed" else None,
    "executionInfo/startTime": lambda task: task.started,
    "executionInfo/endTime": lambda task: task.ended,
    "executionInfo/retryCount": lambda task: task.retries,
    "executionInfo/requeueCount": lambda task: task.requeues,
    "executionInfo/failureInfo/code": lambda task: task.failure.code if task.failure else None,
    "executionInfo/failureInfo/category": lambda task: task.failure.category if task.failure else None,
    "nodeInfo/nodeId": lambda task: task.address.node_id if task.address else None,
    "nodeInfo/poolId": lambda task: task.address.pool_id if task.address else None,
}


TASKS: Kind[Task] = Kind("tasks", "BatchTask", PROPERTIES, task_fields)


@lru_cache(maxsize=4096)
def _constraints(wall_clock: str, retention: str, retries: int) -> TaskConstraints:
    if retries < -1:
        raise property_error("constraints.maxTaskRetryCount", retries, "Expected -1 or above.")
    return TaskConstraints(wall_clock, retention, retries)


def _limits(job: Job, spec: Spec) -> TaskConstraints:
    return _constraints(
        spec.get("maxWallClockTime", UNLIMITED),
        spec.get("retentionTime", "P7D"),
        spec.get("maxTaskRetryCount", job.max_retries),
    )


def add(account: Account, job: Job, spec: Spec, now: int) -> Task:
    """Add one checked task to an open job."""
    task_id = check_id(spec["id"])
    check_task(account, job, spec)
    key = task_id.lower()
    if key in job.tasks:
        raise BatchError("TaskExists")
    limits = _limits(job, spec.get("constraints", {}))
    slots = spec.get("requiredSlots", 1)
    if not 1 <= slots <= MAX_SLOTS:
        raise property_error("requiredSlots", slots, f"Expected 1 to {MAX_SLOTS}.")
    kept = {name: spec[name] for name in spec if name not in ("id", "constraints", "requiredSlots")}
    task = Task(
        job=job,
        id=task_id,
        seq=job.next_seq,
        spec=json.dumps(kept, separators=(",", ":")).encode(),
        constraints=limits,
        required_slots=slots,
        created=now,
        modified=now,
        state_since=now,
        has_exit_conditions="exitConditions" in spec,
        traits=traits.of(job, task_id, spec),
    )
    job.next_seq += 1
    job.tasks[task_id if key == task_id else key] = task
    job.order.append(task)
    count_task(task, 1)
    watch_dependencies(task, spec.get("dependsOn"))
    queues.push(task)
    account.journal.task(task)
    return task


def watch_dependencies(task: Task, depends_on: Spec | None) -> None:
    """Let a task wait for what it depends on."""
    if depends_on:
        ranges = [(entry["start"], entry["end"]) for entry in depends_on.get("taskIdRanges", ())]
        queues.wait_for(task, depends_on.get("taskIds", ()), ranges)


def create(account: Account, request: Request) -> Reply:
    """Add one task."""
    spec = request.spec("BatchTaskCreateOptions")
    job = account.job(request.path["jobId"])
    job_life.require_open(job)
    task = add(account, job, spec, account.now())
    account.schedule(job.pool_id)
    return accepted(task.modified, task_url(account, task), location=True)


def create_collection(account: Account, request: Request) -> Reply:
    """Add up to 100 tasks; each has a result of its own."""
    entries = _collection(request)
    job = account.job(request.path["jobId"])
    job_life.require_open(job)
    now = account.now()
    results = []
    for entry in entries:
        try:
            task = add(account, job, request.checked("BatchTaskCreateOptions", entry), now)
        except BatchError as error:
            task_id = entry.get("id", "") if isinstance(entry, dict) else ""
            results.append(_refusal(account, task_id, error, request, now))
        else:
            results.append(
                {
                    "status": "success" if account.settings.strict_casing else "Success",
                    "taskId": task.id,
                    "eTag": etag(now),
                    "lastModified": timestamp(now),
                    "location": task_url(account, task),
                }
            )
    account.schedule(job.pool_id)
    fields = {"odata.metadata": f"{account.url}/$metadata#taskaddresult", "value": results}
    return json_reply(fields)


def _collection(request: Request) -> list[Any]:
    body = parse_json(request.body)
    entries = body.get("value") if isinstance(body, dict) else None
    if not isinstance(entries, list) or set(body) != {"value"}:
        raise BatchError("InvalidRequestBody", ("Reason", "Expected an object with the array 'value' only."))
    if len(entries) > MAX_TASKS_A_CALL:
        raise BatchError(
            "RequestBodyTooLarge",
            ("Reason", f"{len(entries)} tasks in one call; at most {MAX_TASKS_A_CALL}."),
        )
    return entries


def _refusal(account: Account, task_id: str, error: BatchError, request: Request, now: int) -> Spec:
    refused = "clienterror" if account.settings.strict_casing else "clientError"
    fields = error_fields(error, request.headers["request-id"], timestamp(now))
    return {"status": refused, "taskId": task_id, "error": fields}


def list_tasks(account: Account, request: Request) -> Reply:
    """The tasks of a job, in the order in which they were added."""
    return TASKS.page(account, request, _from(account.job(request.path["jobId"]), start(request)))


def _from(job: Job, first: int) -> Iterator[tuple[int, Task]]:
    order = job.order
    for position in range(first, len(order)):
        task = order[position]
        if task is not None:
            yield position, task


def _task(account: Account, request: Request) -> Task:
    task = account.task(request.path["jobId"], request.path["taskId"])
    check_preconditions(request, task.modified)
    return task


def get(account: Account, request: Request) -> Reply:
    """One task."""
    task = account.task(request.path["jobId"], request.path["taskId"])
    reply = TASKS.one(account, request, task)
    reply.headers["dataserviceid"] = task_url(account, task)
    return reply


def replace(account: Account, request: Request) -> Reply:
    """Set the constraints of a task that is not completed."""
    spec = request.spec("BatchTask")
    task = _task(account, request)
    job_life.require_open(task.job)
    if task.state == "completed":
        raise BatchError("TaskCompleted")
    task.constraints = _limits(task.job, spec.get("constraints", {}))
    return _changed(account, task)


def _changed(account: Account, task: Task) -> Reply:
    task.modified = account.now()
    account.journal.task(task)
    return accepted(task.modified, task_url(account, task))


def delete(account: Account, request: Request) -> Reply:
    """Delete a task; if it runs, it is killed first."""
    task = _task(account, request)
    if task.job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    run = account.runs.get(task)
    task.deleted = True
    if run is not None:
        runs.stop(account, run, endings.TERMINATE)
    if task not in account.runs:
        account.forget_task(task)
        job_life.progress(account, task.job)
    return Reply()


def terminate(account: Account, request: Request) -> Reply:
    """End a task; it is then completed and failed."""
    task = _task(account, request)
    job_life.require_open(task.job)
    if task.state == "completed":
        raise BatchError("TaskCompleted")
    reply = _changed(account, task)
    run = account.runs.get(task)
    if run is not None:
        runs.stop(account, run, endings.TERMINATE)
    else:
        endings.complete_task(account, task, failures.ENDED)
        job_life.task_completed(account, task)
    return reply


def reactivate(account: Account, request: Request) -> Reply:
    """Run a failed task again, with its retries counted anew."""
    task = _task(account, request)
    job_life.require_open(task.job)
    if task.state != "completed":
        raise BatchError("TaskNotCompleted")
    if task.failure is None:
        raise BatchError("TaskSucceeded")
    task.retries = 0
    task.last_retry = task.started = task.ended = task.exit_code = task.address = None
    move_task(task, "active", account.now())
    task.failure = task.result = None
    queues.push(task)
    account.schedule(task.job.pool_id)
    return _changed(account, task)


def list_subtasks(account: Account, request: Request) -> Reply:
    """The subtasks of a multi-instance task; none of any other task, or before it runs."""
    task = account.task(request.path["jobId"], request.path["taskId"])
    wanted = selection(request, "BatchSubtask")
    found = [select_fields(subtask_fields(account, task, subtask), wanted) for subtask in task.subtasks or ()]
    fields = {"odata.metadata": f"{account.url}/$metadata#subtasks", "value": found}
    return json_reply(fields, version_headers(task.modified))
