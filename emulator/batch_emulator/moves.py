"""Changes of state, held against the tables of states.py, and the counts that follow from them."""

from __future__ import annotations

from batch_emulator import states
from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.tally import Tally


def move_pool(pool: Pool, target: str, now: int) -> None:
    """Change the state of a pool."""
    states.check("pool", pool.state, target)
    pool.state, pool.state_since = target, now


def move_allocation(pool: Pool, target: str, now: int) -> None:
    """Change the allocation state of a pool."""
    states.check("pool allocation", pool.allocation, target)
    pool.allocation, pool.allocation_since = target, now


def move_node(node: Node, target: str, now: int) -> None:
    """Change the state of a node."""
    states.check("node", node.state, target)
    node.state, node.state_since = target, now


def move_job(job: Job, target: str, now: int) -> None:
    """Change the state of a job."""
    states.check("job", job.state, target)
    job.previous_state, job.previous_since = job.state, job.state_since
    job.state, job.state_since = target, now


def move_task(task: Task, target: str, now: int) -> None:
    """Change the state of a task and keep its job's counts; its `result` must be right for `target`."""
    states.check("task", task.state, target)
    count_task(task, -1)
    task.previous_state, task.previous_since = task.state, task.state_since
    task.state, task.state_since = target, now
    count_task(task, 1)


def count_task(task: Task, step: int) -> None:
    """Add a task to, or take it from, the counts of its job."""
    group = _group(task)
    for counts, amount in ((task.job.counts, step), (task.job.slot_counts, step * task.required_slots)):
        setattr(counts, group, getattr(counts, group) + amount)


def count_used(task: Task, more: Tally) -> None:
    """Count what a task has used, for it and for its job."""
    if task.tally is None:
        task.tally = Tally()
    task.tally.add(more)
    task.job.tally.add(more)


def _group(task: Task) -> str:
    if task.state == "completed":
        return "failed" if task.failure else "succeeded"
    return "active" if task.state == "active" else "running"
