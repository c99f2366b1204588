"""How long the files of tasks stay on a node."""

from __future__ import annotations

from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Node, Task


def retained_until(account: Account, node: Node) -> float:
    """When the retention of the last task on a node is over, in ticks; infinite if it never is."""
    tasks = (task for job in account.jobs.values() for task in job.tasks.values() if task.address == node.address)
    return max((_end(task) for task in tasks), default=0.0)


def _end(task: Task) -> float:
    if task.ended is None:
        return 0.0
    if task.constraints.retention == UNLIMITED:
        return float("inf")
    return task.ended + duration_seconds(task.constraints.retention) * TICKS_PER_SECOND
