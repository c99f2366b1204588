"""What jobs and schedules are after the emulator was killed: read from the journal by a second account."""

import pytest

from batch_emulator.account import Settings
from batch_emulator.operations import jobs, schedules
from batch_emulator.restore import restore
from batch_emulator.service import build_account
from batch_emulator.sqlite_journal import SqliteJournal


@pytest.fixture
def journaled(world, tmp_path):
    """The world with a journal; `journaled()` kills it and gives another one that reads the journal."""
    journals = []

    def journal():
        journals.append(SqliteJournal(tmp_path / "journal.sqlite", world.account.mark))
        return journals[-1]

    world.account.journal = journal()

    def again():
        world.account.journal.flush()
        journals[-1].close()
        launcher = type(world.launcher)()
        account = build_account(Settings(), tmp_path, world.clock, launcher, journal())
        restore(account, account.journal)
        second = type(world)(account, world.clock, launcher)
        second.settle(1)
        return second

    yield again
    journals[-1].close()


def test_a_prepared_node_stays_prepared(world, journaled):
    world.pool()
    world.job(jobPreparationTask={"commandLine": "x"}, jobReleaseTask={"commandLine": "y"})
    world.task("a")
    world.settle()
    world.end("jobpreparation")
    assert world.running() == ["a"]
    second = journaled()
    assert second.running() == ["a"]
    assert second.account.jobs["j"].tasks["a"].requeues == 1
    second.end("a")
    second.call(jobs.terminate, {}, jobId="j")
    second.settle()
    assert second.running() == ["jobrelease"]
    second.end("jobrelease")
    assert second.account.jobs["j"].state == "completed"


def test_a_preparation_that_was_cut_off_runs_again(world, journaled):
    world.pool()
    world.job(jobPreparationTask={"commandLine": "x"})
    world.task("a")
    world.settle()
    assert world.running() == ["jobpreparation"]
    assert journaled().running() == ["jobpreparation"]


def test_a_job_that_was_being_released_is_completed(world, journaled):
    world.pool()
    world.job(jobPreparationTask={"commandLine": "x"}, jobReleaseTask={"commandLine": "y"})
    world.task("a")
    world.settle()
    world.end("jobpreparation")
    world.end("a")
    world.call(jobs.terminate, {}, jobId="j")
    world.settle()
    second = journaled()
    assert second.running() == ["jobrelease"]
    second.end("jobrelease")
    assert second.account.jobs["j"].state == "completed"


def test_a_manager_task_is_still_one(world, journaled):
    world.pool(slots=4)
    world.job(jobManagerTask={"id": "lead", "commandLine": "x"})
    world.task("a")
    world.settle()
    second = journaled()
    assert second.running() == ["lead"]
    second.end("lead")
    assert second.account.jobs["j"].terminate_reason == "JMComplete"


def test_a_schedule_goes_on(world, journaled):
    body = {"id": "s", "schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
    world.call(schedules.create, body)
    world.settle()
    world.call(jobs.terminate, {}, jobId="s:job-1")
    second = journaled()
    assert second.account.schedules["s"].state == "active"
    second.settle(3600)
    assert list(second.account.jobs) == ["s:job-1", "s:job-2"]


def test_a_deleted_schedule_stays_deleted(world, journaled):
    body = {"id": "s", "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
    world.call(schedules.create, body)
    world.account.journal.flush()
    world.call(schedules.delete, jobScheduleId="s")
    assert journaled().account.schedules == {}


def test_subtasks_are_remembered(world, journaled):
    world.pool(nodes=2, enableInterNodeCommunication=True)
    world.job()
    settings = {"numberOfInstances": 2, "coordinationCommandLine": "x"}
    world.task("m", multiInstanceSettings=settings)
    world.settle()
    for _ in range(3):
        world.end("m")
    found = journaled().account.jobs["j"].tasks["m"]
    assert (found.state, [subtask.state for subtask in found.subtasks]) == ("completed", ["completed"])
