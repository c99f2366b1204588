"""How long tasks live, and how long their files stay, by the clock in the test's hands."""

from pathlib import Path

import pytest

from batch_emulator.operations import jobs, pools, tasks
from batch_emulator.tally import Used

DAY = 86_400


@pytest.fixture
def folder(world):
    """Where a task's files are, made as if it had written some."""

    def make(task_id):
        job = world.account.jobs["j"]
        (node,) = world.account.pools["p"].nodes.values()
        place = world.account.folders.task(node.id, job.id, task_id)
        place.make()
        return Path(place.root)

    return make


def test_a_task_that_waits_for_180_days_is_not_started_any_more(world):
    world.pool(nodes=0)
    job = world.job()
    world.task("old")
    world.settle(181 * DAY)
    world.task("new")
    world.call(pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    world.settle(1)
    assert world.running() == ["new"]
    assert job.tasks["old"].state == "active"


def test_a_job_that_is_enabled_after_180_days_does_not_run_its_old_tasks(world):
    world.pool()
    job = world.job()
    world.call(jobs.disable, {"disableTasks": "wait"}, jobId="j")
    world.task("old")
    world.settle(180 * DAY)
    world.call(jobs.enable, jobId="j")
    world.settle(1)
    assert world.running() == []
    assert job.tasks["old"].state == "active"


def test_a_task_that_runs_for_180_days_is_ended(world):
    world.pool()
    job = world.job()
    world.task("long")
    world.settle(180 * DAY - 7200)
    assert not world.launcher.running[0].stopped
    world.settle(3 * 3600)
    world.end_stopped()
    assert (job.tasks["long"].state, job.tasks["long"].failure.code) == ("completed", "TaskEnded")


def test_the_files_of_a_task_stay_for_seven_days_unless_it_says_otherwise(world, folder):
    world.pool(slots=4)
    world.job()
    for task_id, more in (("usual", {}), ("short", {"constraints": {"retentionTime": "PT1H"}}),
                          ("ever", {"constraints": {"retentionTime": "P10675199DT2H48M5.4775807S"}})):  # fmt: skip
        world.task(task_id, **more)
    world.settle(1)
    places = {task_id: folder(task_id) for task_id in ("usual", "short", "ever")}
    for task_id in places:
        world.end(task_id)
    world.settle(3500)
    assert all(place.exists() for place in places.values())
    world.settle(200)
    assert [task_id for task_id, place in places.items() if place.exists()] == ["usual", "ever"]
    world.settle(7 * DAY)
    assert [task_id for task_id, place in places.items() if place.exists()] == ["ever"]


def test_the_files_of_a_task_that_ran_again_stay_from_its_last_end(world, folder):
    world.pool()
    world.job()
    world.task("a", constraints={"retentionTime": "PT1H"})
    world.settle(1)
    world.end("a", 1)
    world.settle(3000)
    world.call(tasks.reactivate, jobId="j", taskId="a")
    world.settle(1)
    place = folder("a")
    world.end("a", 1)
    world.settle(3000)
    assert place.exists()
    world.settle(1000)
    assert not place.exists()


def test_the_files_of_preparation_and_release_tasks_go_after_their_retention_time(world, folder):
    world.pool()
    prepare = {"commandLine": "x", "constraints": {"retentionTime": "PT1H"}}
    world.job(jobPreparationTask=prepare, jobReleaseTask={"commandLine": "y", "retentionTime": "PT2H"})
    world.task("a")
    world.settle(1)
    prepared = folder("jobpreparation")
    world.end("jobpreparation")
    world.settle(3700)
    assert not prepared.exists()
    world.task("b")
    world.end("a")
    world.settle(1)
    assert world.running() == ["b"]  # prepared is prepared, also without the files
    world.end("b")
    world.call(jobs.terminate, {}, jobId="j")
    world.settle(1)
    released = folder("jobrelease")
    world.end("jobrelease")
    world.settle(7000)
    assert released.exists()
    world.settle(300)
    assert not released.exists()


def test_the_release_task_ends_at_its_time_limit(world):
    world.pool()
    release = {"commandLine": "y", "maxWallClockTime": "PT1M"}
    world.job(jobPreparationTask={"commandLine": "x"}, jobReleaseTask=release)
    world.task("a")
    world.settle(1)
    world.end("jobpreparation")
    world.end("a")
    world.call(jobs.terminate, {}, jobId="j")
    world.settle(30)
    assert not world.launcher.running[0].stopped
    world.settle(31)
    world.end_stopped()
    (entry,) = world.account.jobs["j"].on_nodes.values()
    assert entry.release.failure.code == "TaskEnded"


def test_what_a_task_used_is_counted_over_all_its_tries(world):
    world.pool()
    job = world.job(constraints={"maxTaskRetryCount": 1})
    world.task("a")
    world.settle(1)
    for _ in range(2):
        world.settle(10)
        world.launcher.running[0].used = Used(1.5, 0.5, 3, 4)
        world.end("a", 1)
        world.settle(1)
    tally = job.tasks["a"].tally
    assert (tally.user, tally.kernel, tally.read, tally.written, tally.retries) == (3.0, 1.0, 6, 8, 1)
    assert 20 <= tally.wall < 25
    assert job.tally == tally
