"""What the emulator tells of its changes; a journal that keeps them survives `kill -9`."""

from __future__ import annotations

from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.schedule import JobSchedule
from batch_emulator.usage import UsageRow


class Journal:
    """Where changes are noted. This one, for --in-memory, forgets them."""

    def pool(self, pool: Pool) -> None:
        """Note that a pool or one of its nodes changed."""

    def node_totals(self, node: Node) -> None:
        """Note that a node has run one task more."""

    def node_gone(self, node: Node) -> None:
        """Note that a node has left its pool."""

    def job(self, job: Job) -> None:
        """Note that a job changed."""

    def task(self, task: Task) -> None:
        """Note that a task is new or changed."""

    def schedule(self, schedule: JobSchedule) -> None:
        """Note that a job schedule changed."""

    def schedule_gone(self, schedule: JobSchedule) -> None:
        """Note that a job schedule is deleted."""

    def pool_gone(self, pool: Pool) -> None:
        """Note that a pool is deleted."""

    def job_gone(self, job: Job) -> None:
        """Note that a job and all its tasks are deleted."""

    def task_gone(self, task: Task) -> None:
        """Note that a task is deleted."""

    def measured(self, pool: Pool, row: UsageRow) -> None:
        """Note the latest sample of a pool, and what it has used since the row's start."""

    def flush(self) -> None:
        """Write what was noted; when this returns, it survives the end of this process."""

    def tidy(self) -> bool:
        """Do a little of what can be done later; whether there is more."""
        return False

    def close(self) -> None:
        """Flush and let go of the file."""
