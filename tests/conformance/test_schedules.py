import datetime

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError


@pytest.fixture
def schedule(client, bench):
    """Adds job schedules, and takes them away again."""
    made = []

    def add(**timing):
        schedule_id = f"{bench.new_id('schedule')}-{len(made)}"
        job = models.BatchJobSpecification(pool_info=models.BatchPoolInfo(pool_id="no-such-pool"), priority=7)
        client.create_job_schedule(
            models.BatchJobScheduleCreateOptions(
                id=schedule_id,
                display_name="Every day",
                schedule=models.BatchJobScheduleConfiguration(**timing),
                job_specification=job,
            )
        )
        made.append(schedule_id)
        return schedule_id

    yield add
    for schedule_id in made:
        try:
            client._delete_job_schedule_internal(schedule_id)
        except (ResourceNotFoundError, HttpResponseError):
            continue


DAY = datetime.timedelta(days=1)


@pytest.mark.live
def test_a_schedule_makes_its_first_job_at_once(client, schedule, bench):
    schedule_id = schedule(recurrence_interval=DAY)
    found = bench.until(lambda: (s := client.get_job_schedule(schedule_id)).execution_info.recent_job and s)
    assert found.execution_info.recent_job.id == f"{schedule_id}:job-1"
    assert (found.state, found.display_name, found.job_specification.priority) == ("active", "Every day", 7)
    assert found.schedule.recurrence_interval == DAY
    job = client.get_job(f"{schedule_id}:job-1")
    assert job.priority == 7
    assert [job.id for job in client.list_jobs_from_schedule(schedule_id)] == [job.id]
    assert found.execution_info.next_run_time > datetime.datetime.now(datetime.UTC)


@pytest.mark.live
def test_a_schedule_is_listed_disabled_and_enabled(client, schedule):
    schedule_id = schedule(recurrence_interval=DAY)
    assert client.job_schedule_exists(schedule_id)
    client.disable_job_schedule(schedule_id)
    listed = client.list_job_schedules(filter=f"id eq '{schedule_id}' and state eq 'disabled'", select=["id", "state"])
    assert [(found.id, found.state) for found in listed] == [(schedule_id, "disabled")]
    client.enable_job_schedule(schedule_id)
    assert client.get_job_schedule(schedule_id).state == "active"


@pytest.mark.live
def test_a_schedule_is_changed(client, schedule):
    schedule_id = schedule(recurrence_interval=DAY)
    timing = models.BatchJobScheduleConfiguration(recurrence_interval=2 * DAY)
    client.update_job_schedule(schedule_id, models.BatchJobScheduleUpdateOptions(schedule=timing))
    found = client.get_job_schedule(schedule_id)
    assert found.schedule.recurrence_interval == 2 * DAY
    found.job_specification.priority = 9
    client.replace_job_schedule(schedule_id, found)
    assert client.get_job_schedule(schedule_id).job_specification.priority == 9


@pytest.mark.live
def test_a_schedule_is_terminated_and_deleted(client, schedule):
    schedule_id = schedule(recurrence_interval=DAY)
    client.begin_terminate_job_schedule(schedule_id, polling_interval=0.01).result()
    assert client.get_job_schedule(schedule_id).state == "completed"
    assert client.get_job(f"{schedule_id}:job-1").execution_info.termination_reason == "TerminateJobSchedule"
    client.begin_delete_job_schedule(schedule_id, polling_interval=0.01).result()
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_job_schedule(schedule_id)
    assert caught.value.error.code == "JobScheduleNotFound"
    with pytest.raises(ResourceNotFoundError):
        client.get_job(f"{schedule_id}:job-1")
