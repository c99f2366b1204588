"""Bringing back what was journaled: first all of it is read, then the account goes on."""

from __future__ import annotations

import json

from batch_emulator import (
    endings,
    job_life,
    node_life,
    node_loss,
    pool_life,
    pool_scaling,
    preparation,
    queues,
    retention,
    schedule_life,
    traits,
)
from batch_emulator.account import Account
from batch_emulator.entities import Job, Task
from batch_emulator.leftovers import kill_leftovers, kill_marked
from batch_emulator.moves import count_task
from batch_emulator.operations.tasks import watch_dependencies
from batch_emulator.records import load_job, load_pool, load_schedule, load_task
from batch_emulator.sqlite_journal import SqliteJournal


def restore(account: Account, journal: SqliteJournal) -> None:
    """Fill an empty account; JournalError if the journal cannot be read, and nothing has been done then."""
    with journal.reading():
        _read_pools(account, journal)
        marks = _read_jobs(account, journal)
        for record in journal.stored_schedules():
            schedule = load_schedule(record)
            account.schedules[schedule.id.lower()] = schedule
        account.usage.restore(journal.stored_usage())
        journal.accept()
    kill_leftovers(marks)
    kill_marked(account.folders.root)
    for job in account.jobs.values():
        for task in job.tasks.values():
            _queue_again(account, task)
    _resume(account)


def _read_pools(account: Account, journal: SqliteJournal) -> None:
    totals = journal.stored_totals()
    for record in journal.stored_pools():
        pool = load_pool(record)
        account.pools[pool.id.lower()] = pool
        account.clock.not_before(max(pool.modified, pool.allocation_since))
        for node in pool.nodes.values():
            node.total_run, node.total_succeeded = totals.get(node.id, (0, 0))
            account.clock.not_before(node.state_since)
            account.next_node += 1
        for sample in journal.stored_samples(pool.id):
            pool.history.add(sample)


def _read_jobs(account: Account, journal: SqliteJournal) -> list[str]:
    """Gives the marks of processes that an emulator before this one may have left."""
    marks: list[str] = []
    for record in journal.stored_jobs():
        job = load_job(record)
        account.add_job(job)
        account.next_job_key = job.key + 1
        account.clock.not_before(max(job.modified, job.state_since))
        marks += _read_tasks(account, journal, job)
    return marks


def _read_tasks(account: Account, journal: SqliteJournal, job: Job) -> list[str]:
    marks, latest = [], 0
    for seq, spec, text in journal.stored_tasks(job.key):
        task, mark = load_task(job, seq, spec, text)
        job.order.extend([None] * (seq - len(job.order)))
        job.order.append(task)
        job.tasks[task.id if task.id.islower() else task.id.lower()] = task
        job.next_seq = seq + 1
        count_task(task, 1)
        if task.tally is not None:
            job.tally.add(task.tally)
        if task.satisfied:
            job.satisfied.add(task.id.lower())
        if mark:
            marks.append(mark)
        latest = max(latest, task.state_since)
        task.traits = traits.of(job, task.id, json.loads(spec))
    account.clock.not_before(latest)
    return marks


def _queue_again(account: Account, task: Task) -> None:
    if task.state in ("running", "preparing"):
        endings.requeue_lost(account, task)
    elif task.state == "active":
        if task.job.uses_dependencies:
            watch_dependencies(task, json.loads(task.spec).get("dependsOn"))
        queues.push(task)


def _resume(account: Account) -> None:
    nodes = {node_id for pool in account.pools.values() for node_id in pool.nodes}
    for node_id in nodes:
        account.folders.make_node(node_id)
    account.folders.tidy(nodes)
    for job in list(account.jobs.values()):
        job_life.begin(account, job)
        retention.resume(account, job)
        preparation.resume_retention(account, job)
    for pool in list(account.pools.values()):
        _resume_pool(account, pool.id)
    for schedule in list(account.schedules.values()):
        schedule_life.resume(account, schedule)
    pool_scaling.resume(account)


def _resume_pool(account: Account, pool_id: str) -> None:
    pool = account.pool(pool_id)
    if pool.state == "deleting":
        for node in list(pool.nodes.values()):
            node_life.leave(account, node, "requeue")
        node_life.settle_pool(account, pool)
        return
    pool.allocation = "steady"
    present = sum(node.dedicated for node in pool.nodes.values())
    if (present, len(pool.nodes) - present) != (pool.target_dedicated, pool.target_low_priority):
        pool_life.begin(account, pool)
    for node in pool.nodes.values():
        node_loss.resume(account, node)
    account.schedule(pool.id)
