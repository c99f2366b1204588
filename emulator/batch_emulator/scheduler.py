"""Which task starts where: priorities, parallel limits, slots, pack and spread, whole nodes, preemption."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from batch_emulator import lifetime, preemption, preparation, queues, runs
from batch_emulator.account import Account
from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.node_life import SCHEDULABLE

STARTS_A_TURN = 16
"""Tasks that one turn may start before requests and ends of tasks get their turn."""

Placement = tuple[Task, list[Node]]


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
            self._release(pool_id)
            pool = self._account.pools.get(pool_id)
            if pool is not None and pool.state == "active":
                self._assign(pool)

    def _release(self, pool_id: str) -> None:
        for job in list(self._account.jobs_by_pool.get(pool_id, {}).values()):
            if job.releasing:
                preparation.resume_release(self._account, job)
                self._account.job_progress(job)

    def _assign(self, pool: Pool) -> None:
        nodes = [node for node in pool.nodes.values() if is_free(node)]
        for count, (task, chosen) in enumerate(self._placements(pool, nodes), 1):
            runs.start(self._account, task, chosen)
            lifetime.keep_watching(self._account)
            if count == STARTS_A_TURN:
                self.request(pool.id)
                return
        preemption.make_room(self._account, pool, self._jobs(pool))

    def _placements(self, pool: Pool, nodes: list[Node]) -> Iterator[Placement]:
        for job in self._jobs(pool):
            allowed = nodes
            if "jobPreparationTask" in job.spec:
                allowed = [node for node in nodes if not preparation.is_barred(job, node)]
            held = yield from self._special(job, pool, allowed)
            if not held:
                yield from self._ordinary(job, pool, allowed)

    def _special(self, job: Job, pool: Pool, nodes: list[Node]) -> Generator[Placement, None, bool]:
        """Tasks that want whole nodes; True if the job's first task waits for one and all others wait for it."""
        for task in queues.specials(job):
            if lifetime.is_over(task, self._account.now()):
                continue
            if job.state != "active" or not has_room(job):
                return True
            chosen = places(task, pool, nodes)
            if chosen:
                job.special.remove(task)
                task.queued = False
                yield task, chosen
            elif task.traits is not None and task.traits.leads:
                return True
        return False

    def _ordinary(self, job: Job, pool: Pool, nodes: list[Node]) -> Iterator[Placement]:
        while job.state == "active" and has_room(job):
            largest = max((node.free_slots for node in nodes if is_free(node)), default=0)
            task = queues.pop(job, largest) if largest else None
            if task is None:
                return
            if not lifetime.is_over(task, self._account.now()):
                yield task, [choose(pool.fill, nodes, task)]

    def _jobs(self, pool: Pool) -> list[Job]:
        jobs = self._account.jobs_by_pool.get(pool.id.lower(), {}).values()
        ready = [job for job in jobs if job.state == "active" and (job.ready or job.special)]
        return sorted(ready, key=lambda job: (-job.priority, job.key))


def has_room(job: Job) -> bool:
    """Whether maxParallelTasks lets one more task of the job run."""
    return job.max_parallel == -1 or len(job.occupied) < job.max_parallel


def is_free(node: Node) -> bool:
    """Whether a node may be given a task now."""
    return node.free_slots > 0 and node.state in SCHEDULABLE and node.scheduling == "enabled" and node.leaving is None


def choose(fill: str, nodes: list[Node], task: Task) -> Node:
    """The node for a task: the one it would like, else the fullest that has room (pack), or the emptiest (spread)."""
    fitting = [node for node in nodes if node.free_slots >= task.required_slots and is_free(node)]
    wanted = task.traits.affinity if task.traits is not None else None
    if wanted is not None:
        fitting = [node for node in fitting if wanted == f"TVM:{node.id}"] or fitting
    if fill == "pack":
        return min(fitting, key=lambda node: node.free_slots)
    return max(fitting, key=lambda node: node.free_slots)


def places(task: Task, pool: Pool, nodes: list[Node]) -> list[Node]:
    """The nodes for a task that wants more than slots, or none.

    As on Azure, a multi-instance task waits for ever in a pool whose nodes have more than one slot, or do not
    communicate.
    """
    traits = task.traits
    if traits is None:
        return []
    if traits.instances and (pool.slots_per_node != 1 or not pool.spec.get("enableInterNodeCommunication")):
        return []
    needed = pool.slots_per_node if traits.exclusive else task.required_slots
    fitting = [
        node
        for node in nodes
        if is_free(node) and node.free_slots >= needed and (node.dedicated or not traits.dedicated_only)
    ]
    count = max(1, traits.instances)
    fitting.sort(key=lambda node: f"TVM:{node.id}" != traits.affinity)
    return fitting[:count] if len(fitting) >= count else []
