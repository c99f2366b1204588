"""The journal: what happened survives `kill -9`, because it is in SQLite before it is acknowledged.

Changes gather in memory and are written in one transaction: before an answer leaves, or a few
milliseconds after something happened by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.records import job_record, pool_record, schedule_record, task_record
from batch_emulator.schedule import JobSchedule

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pools (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (key INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
  job INTEGER NOT NULL, seq INTEGER NOT NULL, spec BLOB NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node_totals (
  id TEXT PRIMARY KEY, run INTEGER NOT NULL, succeeded INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedules (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""


TIDY_ROWS = 2000


class Journal(Protocol):
    """Where changes are noted."""

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

    def flush(self) -> None:
        """Write what was noted; when this returns, it survives the end of this process."""

    def tidy(self) -> bool:
        """Do a little of what can be done later; whether there is more."""

    def close(self) -> None:
        """Flush and let go of the file."""


class NoJournal:
    """For --in-memory: nothing survives."""

    def pool(self, pool: Pool) -> None:
        """Forget it."""

    def node_totals(self, node: Node) -> None:
        """Forget it."""

    def node_gone(self, node: Node) -> None:
        """Forget it."""

    def job(self, job: Job) -> None:
        """Forget it."""

    def task(self, task: Task) -> None:
        """Forget it."""

    def schedule(self, schedule: JobSchedule) -> None:
        """Forget it."""

    def schedule_gone(self, schedule: JobSchedule) -> None:
        """Forget it."""

    def pool_gone(self, pool: Pool) -> None:
        """Forget it."""

    def job_gone(self, job: Job) -> None:
        """Forget it."""

    def task_gone(self, task: Task) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Nothing to write."""

    def tidy(self) -> bool:
        """Nothing to tidy."""
        return False

    def close(self) -> None:
        """Nothing to close."""


class SqliteJournal:
    """A journal in one SQLite file. `mark` tells of a running task how to find its process again."""

    def __init__(self, path: Path, mark: Callable[[Task], str]) -> None:
        self._mark = mark
        self._file = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(_SCHEMA)
        self._pools: dict[str, Pool] = {}
        self._jobs: dict[int, Job] = {}
        self._schedules: dict[str, JobSchedule] = {}
        self._totals: dict[str, Node] = {}
        self._new: dict[Task, None] = {}
        self._changed: dict[Task, None] = {}
        self._gone: list[tuple[str, tuple[str | int, ...]]] = []
        self._orphaned: list[int] = []
        self._file.execute("DELETE FROM tasks WHERE job NOT IN (SELECT key FROM jobs)")

    def pool(self, pool: Pool) -> None:
        """Note that a pool or one of its nodes changed."""
        self._pools[pool.id.lower()] = pool

    def node_totals(self, node: Node) -> None:
        """Note that a node has run one task more: a small row, because it happens often."""
        self._totals[node.id] = node

    def node_gone(self, node: Node) -> None:
        """Note that a node has left its pool."""
        self._totals.pop(node.id, None)
        self._gone.append(("DELETE FROM node_totals WHERE id = ?", (node.id,)))

    def job(self, job: Job) -> None:
        """Note that a job changed."""
        self._jobs[job.key] = job

    def task(self, task: Task) -> None:
        """Note that a task is new (never changed so far) or changed."""
        if task not in self._new:
            (self._new if task.previous_state is None and task.state == "active" else self._changed)[task] = None

    def schedule(self, schedule: JobSchedule) -> None:
        """Note that a job schedule changed."""
        self._schedules[schedule.id.lower()] = schedule

    def schedule_gone(self, schedule: JobSchedule) -> None:
        """Note that a job schedule is deleted."""
        self._schedules.pop(schedule.id.lower(), None)
        self._gone.append(("DELETE FROM schedules WHERE id = ?", (schedule.id.lower(),)))

    def pool_gone(self, pool: Pool) -> None:
        """Note that a pool is deleted."""
        self._pools.pop(pool.id.lower(), None)
        self._gone.append(("DELETE FROM pools WHERE id = ?", (pool.id.lower(),)))

    def job_gone(self, job: Job) -> None:
        """Note that a job and all its tasks are deleted."""
        self._jobs.pop(job.key, None)
        for noted in (self._new, self._changed):
            for task in [task for task in noted if task.job is job]:
                del noted[task]
        self._gone.append(("DELETE FROM jobs WHERE key = ?", (job.key,)))
        self._orphaned.append(job.key)

    def task_gone(self, task: Task) -> None:
        """Note that a task is deleted."""
        self._new.pop(task, None)
        self._changed.pop(task, None)
        self._gone.append(("DELETE FROM tasks WHERE job = ? AND seq = ?", (task.job.key, task.seq)))

    def flush(self) -> None:
        """Write what was noted in one transaction."""
        noted = (self._gone, self._pools, self._totals, self._jobs, self._schedules, self._new, self._changed)
        if not any(noted):
            return
        run = self._file.execute
        run("BEGIN")
        for statement, values in self._gone:
            run(statement, values)
        self._file.executemany(
            "INSERT OR REPLACE INTO pools VALUES (?, ?)",
            ((key, pool_record(pool)) for key, pool in self._pools.items()),
        )
        self._file.executemany(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?)",
            ((key, job_record(job)) for key, job in self._jobs.items()),
        )
        self._file.executemany(
            "INSERT OR REPLACE INTO schedules VALUES (?, ?)",
            ((key, schedule_record(schedule)) for key, schedule in self._schedules.items()),
        )
        self._file.executemany(
            "INSERT OR REPLACE INTO node_totals VALUES (?, ?, ?)",
            ((node.id, node.total_run, node.total_succeeded) for node in self._totals.values()),
        )
        self._flush_tasks()
        run("COMMIT")
        for changes in noted:
            changes.clear()

    def tidy(self) -> bool:
        """Delete some tasks of jobs that are gone; a job without a row has none, so a crash on the way is no harm."""
        if not self._orphaned:
            return False
        job = self._orphaned[-1]
        some = "SELECT seq FROM tasks WHERE job = ? ORDER BY seq LIMIT ?"
        done = self._file.execute(f"DELETE FROM tasks WHERE job = ? AND seq IN ({some})", (job, job, TIDY_ROWS))  # noqa: S608
        if done.rowcount < TIDY_ROWS:
            self._orphaned.pop()
        return bool(self._orphaned)

    def _flush_tasks(self) -> None:
        self._file.executemany(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?)",
            ((t.job.key, t.seq, t.spec, task_record(t, self._mark(t))) for t in self._new),
        )
        self._file.executemany(
            "UPDATE tasks SET record = ? WHERE job = ? AND seq = ?",
            ((task_record(t, self._mark(t)), t.job.key, t.seq) for t in self._changed),
        )

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        self._file.close()

    def stored_pools(self) -> list[str]:
        """The records of all pools."""
        return [row[0] for row in self._file.execute("SELECT record FROM pools ORDER BY id")]

    def stored_totals(self) -> dict[str, tuple[int, int]]:
        """How many tasks each node has run, and how many of them succeeded."""
        return {row[0]: (row[1], row[2]) for row in self._file.execute("SELECT id, run, succeeded FROM node_totals")}

    def stored_schedules(self) -> list[str]:
        """The records of all job schedules."""
        return [row[0] for row in self._file.execute("SELECT record FROM schedules ORDER BY id")]

    def stored_jobs(self) -> list[str]:
        """The records of all jobs, in the order of their creation."""
        return [row[0] for row in self._file.execute("SELECT record FROM jobs ORDER BY key")]

    def stored_tasks(self, job_key: int) -> Iterator[tuple[int, bytes, str]]:
        """Seq, spec and record of a job's tasks, in the order of their creation."""
        query = "SELECT seq, spec, record FROM tasks WHERE job = ? ORDER BY seq"
        yield from self._file.execute(query, (job_key,))
