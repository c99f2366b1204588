"""Entities to and from JSON records of the journal. Only what cannot be worked out again is kept.

What a record of an older build does not have gets its default.
"""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, fields
from typing import Any

from batch_emulator.autoscale.samples import Sample
from batch_emulator.entities import (
    Failure,
    Job,
    JobOnNode,
    Node,
    NodeAddress,
    NodeUser,
    Pool,
    StartTaskProgress,
    Subtask,
    Task,
    TaskConstraints,
)
from batch_emulator.schedule import SCHEDULE_FIELDS, JobSchedule
from batch_emulator.tally import Tally

_POOL_SKIPS = {"nodes", "history", "scale_asked", "scale_timer", "resize_timer", "resize_since", "refused"}
_JOB_FIELDS = (
    "id", "key", "pool_id", "spec", "created", "modified", "state_since", "priority", "max_parallel",
    "uses_dependencies", "on_all_complete", "on_failure", "max_wall_clock", "max_retries", "state",
    "previous_state", "previous_since", "started", "ended", "terminate_reason", "next_seq",
    "allow_preemption", "schedule_id", "scheduling_error", "on_nodes", "past",
)  # fmt: skip
_NODE_FIELDS = (
    "id", "ip", "dedicated", "allocated", "booted", "state_since", "scheduling", "state", "start_task",
    "start_task_progress", "errors", "users", "packages", "wiped",
)  # fmt: skip
_LASTING = {"idle", "starttaskfailed", "unusable", "preempted", "deallocated", "offline"}
_TASK_FIELDS = (
    "id", "required_slots", "created", "modified", "state_since", "state", "previous_state",
    "previous_since", "started", "ended", "exit_code", "result", "retries", "last_retry", "requeues",
    "last_requeue", "has_exit_conditions", "satisfied",
)  # fmt: skip


def _failure(value: Any) -> Failure | None:
    if value is None:
        return None
    details = tuple((name, text) for name, text in value["details"])
    return Failure(value["category"], value["code"], value["message"], details)


def pool_record(pool: Pool) -> str:
    """A pool with its nodes."""
    record: dict[str, Any] = {
        field.name: getattr(pool, field.name) for field in fields(pool) if field.name not in _POOL_SKIPS
    }
    record["resize_errors"] = [asdict(failure) for failure in pool.resize_errors]
    staying = (node for node in pool.nodes.values() if node.state != "leavingpool")
    record["nodes"] = [{name: getattr(node, name) for name in _NODE_FIELDS} for node in staying]
    return json.dumps(record, default=_plain)


def load_pool(text: str) -> Pool:
    """A pool with its nodes; what ran on them has ended, and those that were on their way start again."""
    record = json.loads(text)
    nodes = record.pop("nodes")
    errors = [_failure(value) for value in record.pop("resize_errors", [])]
    pool = Pool(**record)
    pool.resize_errors = [error for error in errors if error]
    for values in nodes:
        node = _load_node(pool, values)
        pool.nodes[node.id] = node
    return pool


def _load_node(pool: Pool, values: dict[str, Any]) -> Node:
    progress = _progress(values.pop("start_task_progress", None))
    errors = [_failure(value) for value in values.pop("errors", [])]
    users = {name: NodeUser(**user) for name, user in values.pop("users", {}).items()}
    node = Node(pool=pool, address=NodeAddress(pool.id, values["id"]), free_slots=pool.slots_per_node, **values)
    node.state = _state_after_restart(node, progress)
    node.start_task_progress = progress
    node.errors = [error for error in errors if error]
    node.users = users
    return node


def _state_after_restart(node: Node, progress: StartTaskProgress | None) -> str:
    state = "idle" if node.state == "running" else node.state
    cut_off = progress is not None and progress.ended is None
    if state not in _LASTING or cut_off:
        return "creating"
    return "offline" if state == "idle" and node.scheduling == "disabled" else state


def job_record(job: Job) -> str:
    """A job without its tasks."""
    return json.dumps({name: getattr(job, name) for name in _JOB_FIELDS}, default=_plain)


def _plain(value: Any) -> Any:
    return asdict(value)


def load_job(text: str) -> Job:
    """A job without its tasks."""
    record = json.loads(text)
    error = _failure(record.pop("scheduling_error", None))
    on_nodes = {node_id: _job_on_node(value) for node_id, value in record.pop("on_nodes", {}).items()}
    past = Tally(**record.pop("past", {}))
    job = Job(**record, scheduling_error=error, on_nodes=on_nodes, past=past)
    job.tally.add(past)
    return job


def _job_on_node(value: Any) -> JobOnNode:
    return JobOnNode(
        NodeAddress(**value["address"]),
        value["booted"],
        _progress(value["preparation"]),
        _progress(value["release"]),
        value["ran_tasks"],
    )


def _progress(value: Any) -> StartTaskProgress | None:
    return StartTaskProgress(**(value | {"failure": _failure(value["failure"])})) if value else None


def schedule_record(schedule: JobSchedule) -> str:
    """A job schedule; its jobs are kept as jobs."""
    return json.dumps({name: getattr(schedule, name) for name in SCHEDULE_FIELDS}, default=_plain)


def load_schedule(text: str) -> JobSchedule:
    """A job schedule."""
    record = json.loads(text)
    past = Tally(**record.pop("past", {}))
    return JobSchedule(**record, past=past)


def task_record(task: Task, mark: str) -> str:
    """A task without its spec; `mark` finds its process again."""
    limits = task.constraints
    record = [getattr(task, name) for name in _TASK_FIELDS]
    address = [task.address.pool_id, task.address.node_id] if task.address else None
    failure = asdict(task.failure) if task.failure else None
    whole: list[Any] = [
        record,
        [limits.max_wall_clock, limits.retention, limits.max_retries],
        address,
        failure,
        mark,
    ]
    if task.subtasks is not None or task.tally is not None:
        whole.append([asdict(subtask) for subtask in task.subtasks] if task.subtasks is not None else None)
    if task.tally is not None:
        whole.append(astuple(task.tally))
    return json.dumps(whole)


def _subtask(value: Any) -> Subtask:
    address, failure = NodeAddress(**value["address"]), _failure(value["failure"])
    return Subtask(**(value | {"address": address, "failure": failure}))


def load_task(job: Job, seq: int, spec: bytes, text: str) -> tuple[Task, str]:
    """A task and the mark of the process that it may have left."""
    record, limits, address, failure, mark, *rest = json.loads(text)
    task = Task(
        job=job,
        seq=seq,
        spec=spec,
        constraints=TaskConstraints(*limits),
        address=NodeAddress(*address) if address else None,
        failure=_failure(failure),
        subtasks=[_subtask(value) for value in rest[0]] if rest and rest[0] is not None else None,
        tally=Tally(*rest[1]) if len(rest) > 1 else None,
        **dict(zip(_TASK_FIELDS, record, strict=False)),
    )
    return task, mark


def sample_record(sample: Sample) -> str:
    """The values of a sample."""
    return json.dumps(sample.values)


def load_sample(ticks: int, text: str) -> Sample:
    """A sample of that moment."""
    return Sample(ticks, tuple(json.loads(text)))
