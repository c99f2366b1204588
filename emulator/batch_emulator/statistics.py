"""The fields of $expand=stats. What the emulator cannot know is left out, or 0 where the schema wants a number.

Disk operations are blocks of 512 bytes that the kernel had to read from, or write to, a disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batch_emulator import quota
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import duration_text, timestamp
from batch_emulator.entities import Job, Pool, Task
from batch_emulator.schedule import JobSchedule
from batch_emulator.tally import BLOCK, Tally

Fields = dict[str, Any]
GIB = 1 << 30


def _head(url: str, start: int, now: int) -> Fields:
    return {"url": url, "startTime": timestamp(start), "lastUpdateTime": timestamp(now)}


def _used(tally: Tally, running: float) -> Fields:
    return {
        "userCPUTime": duration_text(round(tally.user, 6)),
        "kernelCPUTime": duration_text(round(tally.kernel, 6)),
        "wallClockTime": duration_text(tally.wall + running),
        "readIOps": tally.read,
        "writeIOps": tally.written,
        "readIOGiB": tally.read * BLOCK / GIB,
        "writeIOGiB": tally.written * BLOCK / GIB,
    }


def _running(task: Task, now: int) -> float:
    """Seconds since the command that runs was started."""
    return (now - task.started) / TICKS_PER_SECOND if task.state == "running" and task.started is not None else 0.0


def of_task(account: Account, task: Task, url: str) -> Fields | None:
    """The statistics of a task; None if it never ran."""
    if task.tally is None and task.started is None:
        return None
    now = account.now()
    waited = (task.started - task.created) / TICKS_PER_SECOND if task.started is not None else 0.0
    used = _used(task.tally or Tally(), _running(task, now))
    return _head(url, task.created, now) | used | {"waitTime": duration_text(waited)}


def _of_jobs(jobs: Iterable[Job], past: Tally, now: int) -> Fields:
    tally, running = Tally(), 0.0
    tally.add(past)
    for job in jobs:
        tally.add(job.tally)
        tally.succeeded += job.counts.succeeded
        tally.failed += job.counts.failed
        running += sum(_running(task, now) for task in job.occupied)
    return _used(tally, running) | {
        "numSucceededTasks": tally.succeeded,
        "numFailedTasks": tally.failed,
        "numTaskRetries": tally.retries,
        "waitTime": duration_text(0),  # told for accounts only, as on Azure
    }


def of_job(account: Account, job: Job, url: str) -> Fields:
    """The statistics of a job: of all its tasks, also those that are deleted."""
    now = account.now()
    return _head(url, job.created, now) | _of_jobs((job,), Tally(), now)


def of_schedule(account: Account, schedule: JobSchedule, jobs: Iterable[Job], url: str) -> Fields:
    """The statistics of a schedule: of all jobs that it has made."""
    now = account.now()
    return _head(url, schedule.created, now) | _of_jobs(jobs, schedule.past, now)


def of_pool(account: Account, pool: Pool, url: str) -> Fields:
    """The statistics of a pool: core time only, for its nodes share the machine's memory, disks and network."""
    now = account.now()
    ticks = sum(now - node.allocated for node in pool.nodes.values() if node.dedicated)
    seconds = pool.core_seconds + quota.cores(pool.vm_size) * ticks / TICKS_PER_SECOND
    times = {"startTime": timestamp(pool.created), "lastUpdateTime": timestamp(now)}
    return _head(url, pool.created, now) | {"usageStats": times | {"dedicatedCoreTime": duration_text(seconds)}}
