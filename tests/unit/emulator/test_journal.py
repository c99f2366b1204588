"""The journal over versions of the emulator: what is loaded, what is refused, and that nothing is lost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batch_emulator import pool_scaling, sqlite_journal, statistics
from batch_emulator.account import Settings
from batch_emulator.autoscale.samples import PERIOD_SECONDS
from batch_emulator.clock import ManualClock
from batch_emulator.operations.jobs import delete as jobs_delete
from batch_emulator.operations.pools import delete as pools_delete
from batch_emulator.operations.pools import resize
from batch_emulator.operations.schedules import create as create_schedule
from batch_emulator.operations.tasks import delete as tasks_delete
from batch_emulator.restore import restore
from batch_emulator.service import build_account
from batch_emulator.sqlite_journal import VERSION, JournalError, SqliteJournal
from batch_emulator.tally import Used

FIXTURES = Path(__file__).parent / "journals"


@pytest.fixture
def stored(tmp_path):
    """Puts the journal of a version into the data directory: `stored(1)` gives its path."""

    def put(version):
        path = tmp_path / "journal.sqlite"
        with closing(sqlite3.connect(path)) as file:
            file.executescript((FIXTURES / f"{version}.sql").read_text())
        return path

    return put


@pytest.fixture
def opened(tmp_path, world):
    """Opens the journal of the data directory and reads it into a new account."""
    journals = []

    def begin(clock=None):
        account = build_account(Settings(), tmp_path, clock or ManualClock(), type(world.launcher)())
        journals.append(SqliteJournal(tmp_path / "journal.sqlite", account.mark))
        account.journal = journals[-1]
        restore(account, journals[-1])
        return account

    yield begin
    for journal in journals:
        journal.close()


def rows(path, query):
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchall()


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_the_journal_of_every_version_is_read(stored, opened, version):
    path = stored(version)
    account = opened()
    pool, job = account.pools["p"], account.jobs["j"]
    assert pool.spec["metadata"] == [{"name": "a", "value": "b"}]
    (node,) = pool.nodes.values()
    assert (node.total_run, node.total_succeeded, pool.slots_per_node) == (2, 1, 4)
    assert {task.id: (task.state, task.result) for task in job.tasks.values()} == {
        "good": ("completed", "success"),
        "bad": ("completed", "failure"),
        "running": ("active", None),
        "waits": ("active", None),
    }
    assert job.tasks["bad"].failure.code == "FailureExitCode"
    assert job.tasks["running"].requeues == 1
    assert account.schedules["s"].recent_job == "s:job-1"
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]


def test_there_is_a_stored_journal_of_every_version():
    assert sorted(path.name for path in FIXTURES.iterdir()) == [f"{number}.sql" for number in range(1, VERSION + 1)]


def test_the_journal_of_a_newer_build_is_left_alone(stored, opened, tmp_path):
    path = stored(1)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"version {VERSION + 1}.*--data-dir.*move {tmp_path} away"):
        opened()
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["pools", "jobs", "tasks", "schedules"])
def test_a_record_that_cannot_be_read_is_told_and_nothing_is_deleted(stored, opened, table):
    path = stored(1)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"UPDATE {table} SET record = '{{\"odd\": 1}}'")
        file.commit()
    before = rows(path, "SELECT record FROM tasks")
    with pytest.raises(JournalError, match="a record is not as this build writes it"):
        opened()
    assert rows(path, "SELECT record FROM tasks") == before
    assert rows(path, "PRAGMA user_version") == [(0,)]


def test_a_file_that_is_no_database_is_told_and_left_alone(opened, tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"no database at all" * 300)
    with pytest.raises(JournalError, match="file is not a database"):
        opened()
    assert path.read_bytes() == b"no database at all" * 300


@pytest.fixture
def journaled(world, tmp_path, opened):
    """The world with a journal; `journaled()` gives the account that a restart makes of it."""
    journal = SqliteJournal(tmp_path / "journal.sqlite", world.account.mark)
    world.account.journal = journal

    def again():
        journal.flush()
        return opened(world.clock)

    yield again
    journal.close()


def test_samples_and_usage_survive(world, journaled):
    pool = world.pool(nodes=2)
    world.settle(10 * PERIOD_SECONDS)
    account = journaled()
    found = account.pools["p"].history
    assert len(found.samples) == len(pool.history.samples) >= 10
    assert found.all("$CurrentDedicatedNodes") == pool.history.all("$CurrentDedicatedNodes")
    assert [row.core_hours for row in account.usage.rows] == [row.core_hours for row in world.account.usage.rows]
    before = sum(row.core_hours for row in account.usage.rows)
    world.settle(10 * PERIOD_SECONDS)
    assert sum(row.core_hours for row in account.usage.rows) > before


def test_stored_samples_are_bounded(world, journaled, monkeypatch, tmp_path):
    monkeypatch.setattr(sqlite_journal, "KEPT", 5)
    world.pool(nodes=0)
    for _ in range(12):
        world.settle(PERIOD_SECONDS)
        world.account.journal.flush()
    assert rows(tmp_path / "journal.sqlite", "SELECT count(*) FROM samples") == [(5,)]
    assert journaled().pools["p"].history.all("$SampleNodeCount")[-1][1] == 0.0


def test_stored_usage_is_bounded(world, journaled, monkeypatch, tmp_path):
    monkeypatch.setattr(sqlite_journal, "KEPT_ROWS", 2)
    world.pool(nodes=1)
    world.settle(4 * 1800)
    assert len(world.account.usage.rows) == 5
    journaled()
    assert rows(tmp_path / "journal.sqlite", "SELECT count(*) FROM usage") == [(2,)]


def test_samples_of_a_deleted_pool_go_and_its_usage_stays(world, journaled, tmp_path):
    world.pool(nodes=0)
    world.settle(2 * PERIOD_SECONDS)
    world.account.journal.flush()
    world.call(pools_delete, poolId="p")
    account = journaled()
    assert account.pools == {}
    assert rows(tmp_path / "journal.sqlite", "SELECT count(*) FROM samples") == [(0,)]
    assert len(account.usage.rows) == len(world.account.usage.rows) > 0


def test_sampling_goes_on_after_a_restart(world, journaled):
    world.pool(nodes=1)
    world.settle(3 * PERIOD_SECONDS)
    account = journaled()
    count = len(account.pools["p"].history.samples)
    pool_scaling.keep_sampling(account)
    world.settle(2 * PERIOD_SECONDS)
    assert len(account.pools["p"].history.samples) == count + 2


def test_statistics_survive_also_those_of_deleted_tasks(world, journaled):
    world.pool(slots=4)
    job = world.job()
    for task_id in ("kept", "deleted", "bad"):
        world.task(task_id)
    world.settle(1)
    for process in world.launcher.running:
        process.used = Used(2.0, 1.0, 10, 20)
    for task_id, code in (("kept", 0), ("deleted", 0), ("bad", 1)):
        world.end(task_id, code)
    world.call(tasks_delete, jobId="j", taskId="deleted")
    account = journaled()
    again = account.jobs["j"]
    assert again.tally == job.tally
    assert (again.tally.user, again.tally.succeeded) == (6.0, 1)
    shown = statistics.of_job(account, again, "u")
    assert (shown["userCPUTime"], shown["kernelCPUTime"]) == ("PT6S", "PT3S")
    assert (shown["numSucceededTasks"], shown["numFailedTasks"], shown["writeIOps"]) == (2, 1, 60)


def test_a_schedule_counts_the_jobs_that_are_deleted(world, journaled):
    world.pool()
    timing = {"recurrenceInterval": "PT1H"}
    world.call(create_schedule, {"id": "s", "schedule": timing, "jobSpecification": {"poolInfo": {"poolId": "p"}}})
    world.settle(1)
    world.task("a", job_id="s:job-1")
    world.settle(1)
    world.launcher.running[0].used = Used(user=4.0)
    world.end("a")
    world.call(jobs_delete, jobId="s:job-1")
    world.settle(1)
    account = journaled()
    schedule = account.schedules["s"]
    shown = statistics.of_schedule(account, schedule, [], "u")
    assert (shown["userCPUTime"], shown["numSucceededTasks"]) == ("PT4S", 1)


def test_a_pool_keeps_the_core_time_of_nodes_that_have_left(world, journaled):
    pool = world.pool(nodes=2, vmSize="standard_d4s_v3")
    world.settle(3600)
    world.call(resize, {"targetDedicatedNodes": 0}, poolId="p")
    world.settle(5)
    assert pool.nodes == {}
    again = journaled().pools["p"]
    assert again.core_seconds == pool.core_seconds
    assert again.core_seconds == pytest.approx(2 * 4 * 3600, rel=0.01)
