"""Letting go of a job with very many tasks, a few thousand at a time, so that nothing else has to wait."""

from __future__ import annotations

from batch_emulator.account import Account
from batch_emulator.entities import Job, Task

TASKS_A_TURN = 5000


def dispose(account: Account, job: Job) -> None:
    """Free the tasks of a job that the account has forgotten."""
    order, job.order = job.order, []
    job.ready.clear()
    job.waiting.clear()
    job.watches.clear()
    job.satisfied.clear()
    for timer in job.retention_timers.values():
        timer.cancel()
    job.retained.clear()
    _free(account, job, order)


def _free(account: Account, job: Job, order: list[Task | None]) -> None:
    for task in order[-TASKS_A_TURN:]:
        if task is not None:
            job.tasks.pop(task.id.lower(), None)
    del order[-TASKS_A_TURN:]
    if order:
        account.clock.call_later(0, lambda: _free(account, job, order))
