"""Entities to and from JSON records of the journal. Only what cannot be worked out again is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from batch_emulator.entities import (
    Failure,
    Job,
    Node,
    NodeAddress,
    Pool,
    Task,
    TaskConstraints,
)

_POOL_SKIPS = {"nodes"}
_JOB_FIELDS = (
    "id", "key", "pool_id", "spec", "created", "modified", "state_since", "priority", "max_parallel",
    "uses_dependencies", "on_all_complete", "on_failure", "max_wall_clock", "max_retries", "state",
    "previous_state", "previous_since", "started", "ended", "terminate_reason", "next_seq",
)  # fmt: skip
_NODE_FIELDS = ("id", "ip", "dedicated", "allocated", "booted", "state_since", "scheduling")
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
    record["nodes"] = [{name: getattr(node, name) for name in _NODE_FIELDS} for node in pool.nodes.values()]
    return json.dumps(record)


def load_pool(text: str) -> Pool:
    """A pool with its nodes, all of them idle."""
    record = json.loads(text)
    nodes = record.pop("nodes")
    errors = [_failure(value) for value in record.pop("resize_errors")]
    pool = Pool(**record)
    pool.resize_errors = [error for error in errors if error]
    for values in nodes:
        address = NodeAddress(pool.id, values["id"])
        node = Node(pool=pool, address=address, free_slots=pool.slots_per_node, state="idle", **values)
        pool.nodes[node.id] = node
    return pool


def job_record(job: Job) -> str:
    """A job without its tasks."""
    return json.dumps({name: getattr(job, name) for name in _JOB_FIELDS})


def load_job(text: str) -> Job:
    """A job without its tasks."""
    return Job(**json.loads(text))


def task_record(task: Task, mark: str) -> str:
    """A task without its spec; `mark` finds its process again."""
    limits = task.constraints
    record = [getattr(task, name) for name in _TASK_FIELDS]
    address = [task.address.pool_id, task.address.node_id] if task.address else None
    failure = asdict(task.failure) if task.failure else None
    return json.dumps([record, [limits.max_wall_clock, limits.retention, limits.max_retries], address, failure, mark])


def load_task(job: Job, seq: int, spec: bytes, text: str) -> tuple[Task, str]:
    """A task and the mark of the process that it may have left."""
    record, limits, address, failure, mark = json.loads(text)
    task = Task(
        job=job,
        seq=seq,
        spec=spec,
        constraints=TaskConstraints(*limits),
        address=NodeAddress(*address) if address else None,
        failure=_failure(failure),
        **dict(zip(_TASK_FIELDS, record, strict=True)),
    )
    return task, mark
