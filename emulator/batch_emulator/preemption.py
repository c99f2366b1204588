"""Making room for jobs of a higher priority, by requeuing tasks of jobs that allow it."""

from __future__ import annotations

from itertools import islice

from batch_emulator import endings, queues, runs
from batch_emulator.account import Account, Run
from batch_emulator.entities import Job, Node, Pool

MOST_AT_ONCE = 256
"""Waiting tasks of a job that one turn makes room for."""


def make_room(account: Account, pool: Pool, jobs: list[Job]) -> None:
    """Requeue running tasks of jobs with allowTaskPreemption where `jobs` of a higher priority need their slots."""
    victims = _preemptable(account, pool)
    if not victims or not jobs:
        return
    rooms = {node.id: node.free_slots + _coming(account, node) for node in pool.nodes.values() if _is_usable(node)}
    for job in jobs:
        for slots in islice(queues.waiting_slots(job), _limit(job)):
            if not _find_room(account, job, slots, rooms, victims):
                break


def _limit(job: Job) -> int:
    return MOST_AT_ONCE if job.max_parallel == -1 else max(0, job.max_parallel - len(job.occupied))


def _is_usable(node: Node) -> bool:
    return node.state in ("idle", "running") and node.scheduling == "enabled" and node.leaving is None


def _preemptable(account: Account, pool: Pool) -> list[Run]:
    """What could be requeued: the least important first, and of those what has run least."""
    jobs = account.jobs_by_pool.get(pool.id.lower(), {}).values()
    found = [account.runs[task] for job in jobs if job.allow_preemption for task in job.occupied]
    plain = [run for run in found if run.ending is None and run.task.traits is None and _is_usable(run.node)]
    return sorted(plain, key=lambda run: (run.task.job.priority, -(run.task.started or 0)))


def _coming(account: Account, node: Node) -> int:
    """Slots that tasks which are being requeued will give back."""
    return sum(endings.slots_on(task, node) for task in node.running if account.runs[task].ending == endings.REQUEUE)


def _find_room(account: Account, job: Job, slots: int, rooms: dict[str, int], victims: list[Run]) -> bool:
    """Let `slots` on one node become free; False if nothing of a lower priority can give way for them."""
    for node_id, room in rooms.items():
        if room >= slots:
            rooms[node_id] = room - slots
            return True
    for node_id, room in rooms.items():
        giving: list[Run] = []
        for run in victims:
            if run.node.id == node_id and run.task.job.priority < job.priority and room < slots:
                giving.append(run)
                room += run.task.required_slots  # noqa: PLW2901 - counts up
        if room >= slots:
            rooms[node_id] = room - slots
            for run in giving:
                victims.remove(run)
                runs.stop(account, run, endings.REQUEUE)
            return True
    return False
