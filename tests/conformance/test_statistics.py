"""$expand=stats: what tasks, jobs, schedules and pools have used, by real processes."""

from datetime import timedelta

from azure.batch import models

NONE = timedelta(0)
BUSY = (
    "/bin/sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; dd if=/dev/zero of=f bs=65536 count=8 conv=fsync'"
)


def test_a_task_and_its_job_tell_what_its_process_used(client, bench):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "busy", BUSY)
    bench.run(job_id, "bad", "/bin/false", constraints=models.BatchTaskConstraints(max_task_retry_count=2))
    task = client.get_task(job_id, "busy", expand=["stats"])
    assert task.task_statistics.user_cpu_time > NONE
    assert task.task_statistics.wall_clock_time >= timedelta(milliseconds=1)
    assert task.task_statistics.write_iops >= 0
    assert task.task_statistics.url == task.url
    job = client.get_job(job_id, expand=["stats"])
    assert job.job_statistics.user_cpu_time >= task.task_statistics.user_cpu_time
    assert job.job_statistics.wall_clock_time > task.task_statistics.wall_clock_time
    counts = (
        job.job_statistics.succeeded_tasks_count,
        job.job_statistics.failed_tasks_count,
        job.job_statistics.task_retries_count,
    )
    assert counts == (1, 1, 2)
    assert client.get_job(job_id).job_statistics is None
    listed = [
        found.job_statistics.succeeded_tasks_count for found in client.list_jobs(expand=["stats"]) if found.id == job_id
    ]
    assert listed == [1]


def test_a_task_that_never_ran_has_no_statistics(client, bench):
    job_id = bench.job()
    bench.task(job_id, "waits", "/bin/true")
    assert client.get_task(job_id, "waits", expand=["stats"]).task_statistics is None
    assert client.get_job(job_id, expand=["stats"]).job_statistics.wall_clock_time == NONE


def test_a_job_keeps_the_statistics_of_deleted_tasks(client, bench):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "good", BUSY)
    before = client.get_job(job_id, expand=["stats"]).job_statistics
    client.delete_task(job_id, "good")
    after = client.get_job(job_id, expand=["stats"]).job_statistics
    assert (after.succeeded_tasks_count, after.user_cpu_time) == (1, before.user_cpu_time)


def test_a_pool_tells_the_core_time_of_its_dedicated_nodes(client, bench):
    pool_id = bench.pool(nodes=1)
    stats = client.get_pool(pool_id, expand=["stats"]).pool_statistics
    first = stats.usage_statistics.dedicated_core_time
    assert first > NONE
    assert stats.resource_statistics is None
    later = client.get_pool(pool_id, expand=["stats"]).pool_statistics.usage_statistics.dedicated_core_time
    assert later > first
    empty = client.get_pool(bench.pool(nodes=0), expand=["stats"]).pool_statistics.usage_statistics.dedicated_core_time
    assert empty == NONE


def test_only_statistics_can_be_expanded_and_select_can_leave_them_out(account, bench):
    job_id = bench.job()
    version = "api-version=2025-06-01"
    refused = account.send("GET", f"/jobs/{job_id}", query=f"{version}&%24expand=tasks")
    assert (refused.status, refused.code) == (400, "InvalidQueryParameterValue")
    chosen = account.send("GET", f"/jobs/{job_id}", query=f"{version}&%24expand=stats&%24select=id")
    assert chosen.body.keys() == {"odata.metadata", "id"}
