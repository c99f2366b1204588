import pytest

from batch_emulator.durations import timestamp
from batch_emulator.errors import BatchError
from batch_emulator.operations import job_rules, jobs, schedules

MINUTE = 60


@pytest.fixture
def ready(world):
    world.pool()
    return world


def at(world, seconds):
    return timestamp(world.clock.ticks() + int(seconds * 10_000_000))


def add(world, schedule_id="s", *, schedule=None, **spec):
    body = {"id": schedule_id, "schedule": schedule or {}, "jobSpecification": {"poolInfo": {"poolId": "p"}} | spec}
    world.call(schedules.create, body)
    world.settle()
    return world.account.schedules[schedule_id]


def ids(world):
    return [job.id for job in world.account.jobs.values()]


def end(world, job_id):
    world.call(jobs.terminate, {}, jobId=job_id)
    world.settle()


def test_a_schedule_without_times_makes_one_job_at_once_and_ends_with_it(ready):
    schedule = add(ready)
    assert (ids(ready), schedule.state, schedule.recent_job) == (["s:job-1"], "active", "s:job-1")
    end(ready, "s:job-1")
    assert (schedule.state, schedule.ended is not None) == ("completed", True)


def test_nothing_runs_before_do_not_run_until(ready):
    add(ready, schedule={"doNotRunUntil": at(ready, 10 * MINUTE)})
    ready.settle(9 * MINUTE)
    assert ids(ready) == []
    ready.settle(2 * MINUTE)
    assert ids(ready) == ["s:job-1"]


def test_a_job_is_made_every_interval(ready):
    schedule = add(ready, schedule={"recurrenceInterval": "PT1H"})
    for number in (1, 2, 3):
        assert ids(ready)[-1] == f"s:job-{number}"
        end(ready, f"s:job-{number}")
        ready.settle(60 * MINUTE)
    assert (schedule.state, schedule.jobs_made) == ("active", 4)


def test_a_job_that_takes_longer_than_its_interval_delays_the_next(ready):
    add(ready, schedule={"recurrenceInterval": "PT1H"})
    ready.settle(90 * MINUTE)
    assert ids(ready) == ["s:job-1"]
    end(ready, "s:job-1")
    assert ids(ready)[-1] == "s:job-2"


def test_a_chance_that_is_missed_is_lost_until_the_next_interval(ready):
    add(ready, schedule={"recurrenceInterval": "PT1H", "startWindow": "PT10M"})
    ready.settle(90 * MINUTE)
    end(ready, "s:job-1")
    assert ids(ready) == ["s:job-1"]
    ready.settle(31 * MINUTE)
    assert ids(ready) == ["s:job-1", "s:job-2"]


def test_after_do_not_run_after_a_schedule_is_over(ready):
    schedule = add(ready, schedule={"recurrenceInterval": "PT1H", "doNotRunAfter": at(ready, 90 * MINUTE)})
    ready.settle(100 * MINUTE)
    assert schedule.state == "active"
    end(ready, "s:job-1")
    assert (schedule.state, ids(ready)) == ("completed", ["s:job-1"])


def test_a_disabled_schedule_makes_no_jobs(ready):
    schedule = add(ready, schedule={"doNotRunUntil": at(ready, MINUTE)})
    ready.call(schedules.disable, jobScheduleId="s")
    ready.settle(10 * MINUTE)
    assert (schedule.state, ids(ready)) == ("disabled", [])
    ready.call(schedules.enable, jobScheduleId="s")
    ready.settle()
    assert ids(ready) == ["s:job-1"]


def test_the_end_of_a_schedule_is_the_end_of_its_job(ready):
    schedule = add(ready)
    ready.call(schedules.terminate, jobScheduleId="s")
    job = ready.account.jobs["s:job-1"]
    assert (job.state, job.terminate_reason, schedule.state) == ("completed", "TerminateJobSchedule", "completed")
    with pytest.raises(BatchError, match="JobScheduleCompleted"):
        ready.call(schedules.disable, jobScheduleId="s")


def test_a_schedule_is_deleted_with_all_its_jobs(ready):
    add(ready, schedule={"recurrenceInterval": "PT1H"})
    end(ready, "s:job-1")
    ready.settle(60 * MINUTE)
    assert len(ids(ready)) == 2
    ready.call(schedules.delete, jobScheduleId="s")
    ready.settle()
    assert (ids(ready), ready.account.schedules) == ([], {})


def test_the_jobs_of_a_schedule_run_tasks_in_directories_of_their_own(ready):
    leader = {"id": "lead", "commandLine": "run"}
    add(ready, schedule={"recurrenceInterval": "PT1H"}, jobManagerTask=leader)
    ready.settle()
    folder = ready.launcher.running[0].command.environment["AZ_BATCH_TASK_DIR"]
    assert folder.endswith("/workitems/s/job-1/lead")
    ready.end("lead")
    ready.settle(60 * MINUTE)
    assert ready.launcher.running[0].command.environment["AZ_BATCH_TASK_DIR"].endswith("/workitems/s/job-2/lead")


def test_another_timing_counts_from_the_last_job(ready):
    schedule = add(ready, schedule={"recurrenceInterval": "PT1H"})
    end(ready, "s:job-1")
    ready.call(schedules.patch, {"schedule": {"recurrenceInterval": "PT10M"}}, jobScheduleId="s")
    ready.settle(11 * MINUTE)
    assert schedule.recent_job == "s:job-2"


def test_the_jobs_of_a_schedule_can_share_an_auto_pool(world):
    image = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}
    pool = {"vmSize": "standard_d2_v3", "virtualMachineConfiguration": image, "targetDedicatedNodes": 1}
    info = {"autoPoolSpecification": {"poolLifetimeOption": "jobschedule", "pool": pool}}
    schedule = add(world, schedule={"recurrenceInterval": "PT1H"}, poolInfo=info)
    end(world, "s:job-1")
    world.settle(60 * MINUTE)
    assert {job.pool_id for job in world.account.jobs.values()} == {schedule.pool_id}
    assert len(world.account.pools) == 1
    world.call(schedules.terminate, jobScheduleId="s")
    world.settle(MINUTE)
    assert world.account.pools == {}


@pytest.mark.parametrize(
    "schedule",
    [
        {"startWindow": "PT59S"},
        {"recurrenceInterval": "PT1S"},
        {"doNotRunAfter": "2001-01-01T00:00:00Z"},
        {"doNotRunUntil": "2099-01-01T00:00:00Z", "doNotRunAfter": "2098-01-01T00:00:00Z"},
    ],
)
def test_times_that_cannot_be_are_refused(ready, schedule):
    with pytest.raises(BatchError, match="InvalidPropertyValue"):
        add(ready, schedule=schedule)


def test_a_job_and_a_schedule_cannot_have_the_same_id(ready):
    add(ready)
    with pytest.raises(BatchError, match="JobScheduleWithSameIdExists"):
        ready.job("s")
    ready.job("j")
    with pytest.raises(BatchError, match="JobWithSameIdExists"):
        add(ready, "j")


def test_the_specification_of_the_jobs_is_checked_with_the_schedule(ready):
    with pytest.raises(BatchError, match="jobReleaseTask"):
        add(ready, jobReleaseTask={"commandLine": "x"})
    assert job_rules.MAX_RELEASE_SECONDS == 900
