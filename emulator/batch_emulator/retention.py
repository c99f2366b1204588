"""How long the files of tasks stay on a node."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.directories import TaskFolder
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Job, Node, StartTaskProgress, Task


def begin(account: Account, task: Task) -> None:
    """A task has ended: its files go after its retention time. One timer serves all tasks of a job alike."""
    text = task.constraints.retention
    if text == UNLIMITED or task.address is None:
        return
    waiting = task.job.retained.setdefault(text, deque())
    waiting.append(task)
    if len(waiting) == 1:
        _wait(account, task.job, text)


def resume(account: Account, job: Job) -> None:
    """After a restart: the tasks that have ended, in the order in which they did."""
    ended = [task for task in job.tasks.values() if task.state == "completed" and task.address is not None]
    for task in sorted(ended, key=lambda task: task.ended or 0):
        begin(account, task)


def _wait(account: Account, job: Job, text: str) -> None:
    due = _end(job.retained[text][0])
    seconds = max(0.0, (due - account.now()) / TICKS_PER_SECOND)
    job.retention_timers[text] = account.clock.call_later(seconds, partial(_expire, account, job, text))


def _expire(account: Account, job: Job, text: str) -> None:
    waiting, now = job.retained[text], account.now()
    while waiting and _is_over(waiting[0], text, now):
        task = waiting.popleft()
        if task.state == "completed" and task.constraints.retention == text and _end(task) <= now:
            _remove_folder(account, task)
    if waiting:
        _wait(account, job, text)


def _is_over(task: Task, text: str, now: int) -> bool:
    """Whether a task need not be waited for in this queue; one that ran again stands in it once more."""
    return task.state != "completed" or task.deleted or task.constraints.retention != text or _end(task) <= now


def _remove_folder(account: Account, task: Task) -> None:
    if task.address is not None and not task.deleted:
        account.folders.discard(account.folders.task(task.address.node_id, task.job.id, task.id).root)


def expire_later(
    account: Account, folder: TaskFolder, progress: StartTaskProgress | None, text: str, is_current: Callable[[], bool]
) -> None:
    """The files of a preparation or release task go after its retention time, if it `is_current` then."""
    if text == UNLIMITED or progress is None or progress.ended is None:
        return

    def expire() -> None:
        if is_current():
            account.folders.discard(folder.root)

    passed = (account.now() - progress.ended) / TICKS_PER_SECOND
    account.clock.call_later(max(0.0, duration_seconds(text) - passed), expire)


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
