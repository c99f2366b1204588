"""The journal on disk: what happened survives `kill -9`, because it is in SQLite before it is acknowledged.

Changes gather in memory and are written in one transaction: before an answer leaves, or a few
milliseconds after something happened by itself. The file says of which version its shape is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from batch_emulator.autoscale.samples import KEPT, PERIOD, Sample
from batch_emulator.entities import Job, Node, Pool, Task
from batch_emulator.journal import Journal
from batch_emulator.records import (
    job_record,
    load_sample,
    pool_record,
    sample_record,
    schedule_record,
    task_record,
)
from batch_emulator.schedule import JobSchedule
from batch_emulator.usage import KEPT as KEPT_ROWS
from batch_emulator.usage import UsageRow

VERSION = 2
"""Of the shape of the file and of the records in it. 1 (which says 0, because it says nothing) had no statistics,
samples and usage; what it has reads as it is. A new version needs its fixture in tests/unit/emulator/journals."""
TIDY_ROWS = 2000
K = TypeVar("K")
E = TypeVar("E")

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
CREATE TABLE IF NOT EXISTS samples (
  pool TEXT NOT NULL, ticks INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (pool, ticks)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (
  pool TEXT NOT NULL, start INTEGER NOT NULL, vm_size TEXT NOT NULL, core_hours REAL NOT NULL,
  PRIMARY KEY (start, pool)
) WITHOUT ROWID;
"""


class JournalError(ValueError):
    """A journal that this build cannot read; it is left as it is."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the state in {path} cannot be read: {reason}. Nothing was deleted. Start the emulator that wrote it, "
            f"name another --data-dir, or, if its pools, jobs and tasks are not needed, move {path.parent} away"
        )


class SqliteJournal(Journal):
    """A journal in one SQLite file. `mark` tells of a running task how to find its process again."""

    def __init__(self, path: Path, mark: Callable[[Task], str]) -> None:
        self._path = path
        self._mark = mark
        self._pools: dict[str, Pool] = {}
        self._jobs: dict[int, Job] = {}
        self._schedules: dict[str, JobSchedule] = {}
        self._totals: dict[str, Node] = {}
        self._new: dict[Task, None] = {}
        self._changed: dict[Task, None] = {}
        self._gone: list[tuple[str, tuple[str | int, ...]]] = []
        self._measured: list[tuple[str, Sample, UsageRow]] = []
        self._orphaned: list[int] = []
        self._file = sqlite3.connect(path, isolation_level=None)
        try:
            with self.reading():
                self._open(path)
        except JournalError:
            self._file.close()
            raise

    def _open(self, path: Path) -> None:
        (found,) = self._file.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise JournalError(path, f"it is of version {found}, and this build knows versions up to {VERSION}")
        path.chmod(0o600)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(_SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong with stored records into JournalError."""
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(self._path, str(error)) from error
        except JournalError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            reason = f"a record is not as this build writes it ({type(error).__name__}: {error})"
            raise JournalError(self._path, reason) from error

    def accept(self) -> None:
        """All of it was read: from now on the file is of this build's version, and what is left over in it goes."""
        self._file.execute(f"PRAGMA user_version = {VERSION}")
        self._file.execute("DELETE FROM tasks WHERE job NOT IN (SELECT key FROM jobs)")
        oldest = "SELECT min(start) FROM (SELECT start FROM usage ORDER BY start DESC LIMIT ?)"
        self._file.execute(f"DELETE FROM usage WHERE start < ({oldest})", (KEPT_ROWS,))  # noqa: S608

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
        """Note that a pool is deleted; what it has used stays known."""
        key = pool.id.lower()
        self._pools.pop(key, None)
        self._measured = [entry for entry in self._measured if entry[0] != key]
        self._gone.append(("DELETE FROM pools WHERE id = ?", (key,)))
        self._gone.append(("DELETE FROM samples WHERE pool = ?", (key,)))

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

    def measured(self, pool: Pool, row: UsageRow) -> None:
        """Note the latest sample of a pool and its usage; samples older than a day go."""
        key, sample = pool.id.lower(), pool.history.samples[-1]
        self._measured.append((key, sample, row))
        self._gone.append(
            ("DELETE FROM samples WHERE pool = ? AND ticks <= ?", (key, sample.ticks - KEPT * PERIOD)),
        )

    def flush(self) -> None:
        """Write what was noted in one transaction."""
        noted = (
            self._gone,
            self._pools,
            self._totals,
            self._jobs,
            self._schedules,
            self._new,
            self._changed,
            self._measured,
        )
        if not any(noted):
            return
        run = self._file.execute
        run("BEGIN")
        for statement, values in self._gone:
            run(statement, values)
        self._flush_records("pools", self._pools, pool_record)
        self._flush_records("jobs", self._jobs, job_record)
        self._flush_records("schedules", self._schedules, schedule_record)
        self._file.executemany(
            "INSERT OR REPLACE INTO node_totals VALUES (?, ?, ?)",
            ((node.id, node.total_run, node.total_succeeded) for node in self._totals.values()),
        )
        self._flush_tasks()
        self._flush_measures()
        run("COMMIT")
        for changes in noted:
            changes.clear()

    def _flush_records(self, table: str, noted: Mapping[K, E], record: Callable[[E], str]) -> None:
        rows = ((key, record(entity)) for key, entity in noted.items())
        self._file.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)  # noqa: S608 - a name of ours

    def _flush_tasks(self) -> None:
        self._file.executemany(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?)",
            ((t.job.key, t.seq, t.spec, task_record(t, self._mark(t))) for t in self._new),
        )
        self._file.executemany(
            "UPDATE tasks SET record = ? WHERE job = ? AND seq = ?",
            ((task_record(t, self._mark(t)), t.job.key, t.seq) for t in self._changed),
        )

    def _flush_measures(self) -> None:
        self._file.executemany(
            "INSERT OR REPLACE INTO samples VALUES (?, ?, ?)",
            ((key, sample.ticks, sample_record(sample)) for key, sample, _ in self._measured),
        )
        self._file.executemany(
            "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)",
            ((row.pool_id, row.start, row.vm_size, row.core_hours) for _, _, row in self._measured),
        )

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

    def stored_samples(self, pool_id: str) -> Iterator[Sample]:
        """The samples of a pool, the oldest first."""
        query = "SELECT ticks, record FROM samples WHERE pool = ? ORDER BY ticks"
        yield from (load_sample(*row) for row in self._file.execute(query, (pool_id.lower(),)))

    def stored_usage(self) -> Iterator[UsageRow]:
        """What pools have used, the oldest first."""
        query = "SELECT pool, vm_size, start, core_hours FROM usage ORDER BY start"
        yield from (UsageRow(*row) for row in self._file.execute(query))
