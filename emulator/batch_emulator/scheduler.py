"""Which task starts where: priorities, parallel limits, slots, pack and spread."""

from __future__ import annotations

from collections.abc import Iterator

from batch_emulator import queues, runs
from batch_emulator.account import Account
from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.node_life import SCHEDULABLE

STARTS_A_TURN = 16
"""Tasks that one turn may start before requests and ends of tasks get their turn."""


class Scheduler:
    """Gives ready tasks to free slots; `request` costs nothing when a turn is due already."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._due: set[str] = set()

    def request(self, pool_id: str) -> None:
        """Look at a pool soon: a task became ready, or slots became free."""
        if not self._due:
            self._account.clock.call_later(0, self._turn)
        self._due.add(pool_id.lower())

    def _turn(self) -> None:
        due, self._due = self._due, set()
        for pool_id in due:
            pool = self._account.pools.get(pool_id)
            if pool is not None and pool.state == "active":
                self._assign(pool)

    def _assign(self, pool: Pool) -> None:
        nodes = [node for node in pool.nodes.values() if is_free(node)]
        for count, task in enumerate(self._candidates(pool, nodes), 1):
            runs.start(self._account, task, choose(pool.fill, nodes, task.required_slots))
            if count == STARTS_A_TURN:
                self.request(pool.id)
                return

    def _candidates(self, pool: Pool, nodes: list[Node]) -> Iterator[Task]:
        for job in self._jobs(pool):
            while job.state == "active" and has_room(job):
                largest = max((node.free_slots for node in nodes if is_free(node)), default=0)
                if largest == 0:
                    return
                task = queues.pop(job, largest)
                if task is None:
                    break
                yield task

    def _jobs(self, pool: Pool) -> list[Job]:
        jobs = self._account.jobs_by_pool.get(pool.id.lower(), {}).values()
        ready = [job for job in jobs if job.ready and job.state == "active"]
        return sorted(ready, key=lambda job: (-job.priority, job.key))


def has_room(job: Job) -> bool:
    """Whether maxParallelTasks lets one more task of the job run."""
    return job.max_parallel == -1 or len(job.occupied) < job.max_parallel


def is_free(node: Node) -> bool:
    """Whether a node may be given a task now."""
    return node.free_slots > 0 and node.state in SCHEDULABLE and node.scheduling == "enabled" and node.leaving is None


def choose(fill: str, nodes: list[Node], slots: int) -> Node:
    """The node for a task of that many slots: the fullest that has room (pack), or the emptiest (spread)."""
    fitting = [node for node in nodes if node.free_slots >= slots and is_free(node)]
    if fill == "pack":
        return min(fitting, key=lambda node: node.free_slots)
    return max(fitting, key=lambda node: node.free_slots)
