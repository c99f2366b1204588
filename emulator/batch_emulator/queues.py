"""Which tasks of a job may start: ready queues by slots, and what waits for other tasks.

Nothing here scans the job's tasks when one of them ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from batch_emulator.entities import Job, RangeWatch, Task
from batch_emulator.traits import is_special


def integer_id(task_id: str) -> int | None:
    """The number a task id stands for in a range of dependencies: plain decimal without leading zeros."""
    if task_id.isascii() and task_id.isdecimal() and (task_id == "0" or task_id[0] != "0"):
        return int(task_id)
    return None


def push(task: Task, *, first: bool = False) -> None:
    """Put an active task that waits for nothing into its job's queue; `first` before all others."""
    if task.queued or task.waits_for:
        return
    special = is_special(task)
    queue = task.job.special if special else task.job.ready.setdefault(task.required_slots, deque())
    task.queued = True
    if first:
        queue.appendleft(task)
    else:
        queue.append(task)


def specials(job: Job) -> list[Task]:
    """The ready tasks that want whole nodes, in their order."""
    for task in [task for task in job.special if task.state != "active" or task.deleted]:
        job.special.remove(task)
        task.queued = False
    return list(job.special)


def waiting_slots(job: Job) -> Iterator[int]:
    """The slots of each ready task, in no special order."""
    for slots, queue in list(job.ready.items()):
        for task in list(queue):
            if task.state == "active" and not task.deleted:
                yield slots


def _head(queue: deque[Task]) -> Task | None:
    while queue:
        task = queue[0]
        if task.state == "active" and not task.deleted:
            return task
        task.queued = False
        queue.popleft()
    return None


def pop(job: Job, free_slots: int) -> Task | None:
    """The task to start next among those that fit `free_slots`: the one that was added first."""
    best: Task | None = None
    for slots in list(job.ready):
        head = _head(job.ready[slots])
        if head is None:
            del job.ready[slots]
        elif slots <= free_slots and (best is None or head.seq < best.seq):
            best = head
    if best is not None:
        job.ready[best.required_slots].popleft()
        best.queued = False
    return best


def wait_for(task: Task, ids: Iterable[str], ranges: Iterable[tuple[int, int]]) -> None:
    """Let a new task wait for others, which may not exist yet; sets `waits_for`."""
    job = task.job
    for key in {name.lower() for name in ids}:
        if key not in job.satisfied:
            job.waiting.setdefault(key, []).append(task)
            task.waits_for += 1
    for start, end in ranges:
        open_ids = end - start + 1 - _satisfied_between(job, start, end)
        if open_ids:
            job.watches.append(RangeWatch(start, end, task))
            task.waits_for += open_ids


def _satisfied_between(job: Job, start: int, end: int) -> int:
    if end - start < len(job.satisfied):
        return sum(1 for number in range(start, end + 1) if str(number) in job.satisfied)
    numbers = (integer_id(name) for name in job.satisfied)
    return sum(1 for number in numbers if number is not None and start <= number <= end)


def satisfy(task: Task) -> list[Task]:
    """Tell the tasks that wait for `task` that they need not any more; gives those that may start now."""
    job = task.job
    key = task.id.lower()
    if task.satisfied or not job.uses_dependencies:
        return []
    task.satisfied = True
    job.satisfied.add(key)
    waiting = job.waiting.pop(key, [])
    number = integer_id(key)
    if number is not None:
        waiting += [watch.task for watch in job.watches if watch.start <= number <= watch.end]
    freed = []
    for dependent in waiting:
        dependent.waits_for -= 1
        if dependent.waits_for == 0 and dependent.state == "active" and not dependent.deleted:
            freed.append(dependent)
    if freed:
        job.watches = [watch for watch in job.watches if watch.task.waits_for]
    return freed
