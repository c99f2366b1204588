"""Deleting a job with many tasks does not keep anybody waiting, and leaves nothing behind."""

import sqlite3

import pytest

from batch_emulator import disposal, sqlite_journal
from batch_emulator.operations import jobs
from batch_emulator.sqlite_journal import SqliteJournal


@pytest.fixture
def stored(world, tmp_path):
    """A world with a journal, and a way to count the rows of its tasks."""
    path = tmp_path / "journal.sqlite"
    world.account.journal = SqliteJournal(path, world.account.mark)

    def rows():
        with sqlite3.connect(path) as file:
            count = file.execute("SELECT count(*) FROM tasks").fetchone()[0]
        file.close()
        return count

    yield world, rows, path
    world.account.journal.close()


def test_the_tasks_of_a_deleted_job_go_in_portions(stored, monkeypatch):
    world, rows, _ = stored
    monkeypatch.setattr(sqlite_journal, "TIDY_ROWS", 4)
    job = world.job(pool_id="none")
    for number in range(10):
        world.task(str(number))
    world.account.journal.flush()
    assert rows() == 10
    world.call(jobs.delete, jobId="j")
    world.account.journal.flush()
    assert rows() == 10
    assert [world.account.journal.tidy() for _ in range(4)] == [True, True, False, False]
    assert rows() == 0
    assert job.id not in world.account.jobs


def test_rows_that_a_crash_left_are_not_given_to_the_next_job(stored):
    world, rows, path = stored
    world.job(pool_id="none")
    world.task("a")
    world.account.journal.flush()
    world.call(jobs.delete, jobId="j")
    world.account.journal.flush()
    assert rows() == 1
    again = SqliteJournal(path, world.account.mark)
    again.accept()
    assert list(again.stored_tasks(1)) == []
    again.close()


def test_a_jobs_tasks_are_freed_a_turn_at_a_time(world, monkeypatch):
    monkeypatch.setattr(disposal, "TASKS_A_TURN", 3)
    job = world.job(pool_id="none")
    for number in range(8):
        world.task(str(number))
    disposal.dispose(world.account, job)
    assert len(job.tasks) == 5
    world.settle()
    assert job.tasks == {}
    assert job.order == []
