import pytest
from azure.batch import models
from azure.batch.models import _models as hidden
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError


@pytest.mark.live
def test_a_new_job_has_the_services_defaults(client, bench):
    job = client.get_job(bench.job())
    assert (job.state, job.priority, job.max_parallel_tasks) == ("active", 0, -1)
    assert (job.all_tasks_complete_mode, job.task_failure_mode) == ("noaction", "noaction")
    assert (job.uses_task_dependencies, job.allow_task_preemption) == (False, False)
    assert job.constraints.max_task_retry_count == 0
    assert job.constraints.max_wall_clock_time.days == 10675199
    assert job.execution_info.pool_id == "no-such-pool"


def test_location_of_a_new_job_ends_in_its_first_run(account, bench):
    answer = account.send("POST", "/jobs", {"id": bench.new_id("job"), "poolInfo": {"poolId": "p"}})
    assert answer.headers["location"] == answer.headers["dataserviceid"] == f"{account.endpoint}/jobs/job-1"


@pytest.mark.live
def test_the_second_job_of_an_id_is_refused(client, bench):
    job_id = bench.job()
    with pytest.raises(ResourceExistsError) as caught:
        client.create_job(models.BatchJobCreateOptions(id=job_id.upper(), pool_info=models.BatchPoolInfo(pool_id="p")))
    assert caught.value.error.code == "JobExists"


@pytest.mark.live
def test_patch_changes_what_it_names_and_put_resets_the_rest(client, bench):
    job_id = bench.job(priority=3, max_parallel_tasks=5)
    client.update_job(job_id, models.BatchJobUpdateOptions(priority=9))
    assert (client.get_job(job_id).priority, client.get_job(job_id).max_parallel_tasks) == (9, 5)
    client.replace_job(job_id, models.BatchJob(pool_info=models.BatchPoolInfo(pool_id="no-such-pool")))
    assert (client.get_job(job_id).priority, client.get_job(job_id).max_parallel_tasks) == (0, -1)


@pytest.mark.live
def test_a_terminated_job_is_completed_and_takes_no_tasks(client, bench):
    job_id = bench.job()
    bench.task(job_id, "a", "/bin/true")
    options = hidden.BatchJobTerminateOptions(termination_reason="enough")
    client.begin_terminate_job(job_id, options, polling_interval=0.01).result()
    job = bench.until(lambda: (j := client.get_job(job_id)).state == "completed" and j)
    assert job.execution_info.termination_reason == "enough"
    assert client.get_task(job_id, "a").state == "active"
    with pytest.raises(HttpResponseError) as caught:
        bench.task(job_id, "b", "/bin/true")
    assert caught.value.error.code == "JobCompleted"


@pytest.mark.live
def test_disable_and_enable(client, bench):
    job_id = bench.job()
    options = models.BatchJobDisableOptions(disable_tasks="requeue")
    client.begin_disable_job(job_id, options, polling_interval=0.01).result()
    assert client.get_job(job_id).state == "disabled"
    client.begin_enable_job(job_id, polling_interval=0.01).result()
    assert client.get_job(job_id).state == "active"


def test_a_deleted_job_is_gone_with_its_files(client, bench):
    pool_id = bench.pool()
    job_id = bench.job(pool_id)
    bench.run(job_id, "a", "/bin/true")
    client.begin_delete_job(job_id, polling_interval=0.01).result()
    with pytest.raises(ResourceNotFoundError):
        client.get_job(job_id)
    node = next(iter(client.list_nodes(pool_id)))
    assert not [f for f in client.list_node_files(pool_id, node.id, recursive=True) if job_id in f.name]


def test_a_job_ends_itself_when_its_tasks_are_done(client, bench):
    job_id = bench.job(bench.pool())
    client.create_tasks(job_id, [models.BatchTaskCreateOptions(id=str(n), command_line="/bin/true") for n in range(5)])
    client.update_job(job_id, models.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    job = bench.until(lambda: (j := client.get_job(job_id)).state == "completed" and j)
    assert job.execution_info.termination_reason == "AllTasksComplete"


@pytest.mark.live
def test_terminatejob_on_a_job_without_tasks_ends_it_at_once(client, bench):
    job_id = bench.job(all_tasks_complete_mode="terminatejob")
    bench.until(lambda: client.get_job(job_id).state == "completed")


def test_task_counts_follow_the_tasks(client, bench):
    job_id = bench.job(bench.pool(slots=4))
    bench.task(job_id, "slow", "/bin/sleep 100", required_slots=2)
    bench.run(job_id, "good", "/bin/true")
    bench.run(job_id, "bad", "/bin/false")
    bench.task(job_id, "waits", "/bin/true", required_slots=9)
    result = bench.until(lambda: (r := client.get_job_task_counts(job_id)).task_counts.running == 1 and r)
    tasks, slots = result.task_counts, result.task_slot_counts
    assert (tasks.active, tasks.running, tasks.completed, tasks.succeeded, tasks.failed) == (1, 1, 2, 1, 1)
    assert (slots.active, slots.running, slots.succeeded, slots.failed) == (9, 2, 1, 1)
