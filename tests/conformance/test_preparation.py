"""Job preparation, release and manager tasks, auto pools."""

import json

import pytest
from azure.batch import models
from azure.batch.models import _models as hidden
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

RECORD = "/bin/sh -c 'echo {} >> $AZ_BATCH_NODE_SHARED_DIR/order; pwd'"
READ = "/bin/sh -c 'cat $AZ_BATCH_NODE_SHARED_DIR/order'"
ENVIRONMENT = """/usr/bin/python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"""


PREPARE, RELEASE = RECORD.format("prepare"), RECORD.format("release")


def prepared(bench, pool_id, command=PREPARE, release=RELEASE, **more):
    preparation = models.BatchJobPreparationTask(command_line=command, **more)
    after = models.BatchJobReleaseTask(command_line=release) if release else None
    return bench.job(pool_id, job_preparation_task=preparation, job_release_task=after)


def end(client, job_id):
    options = hidden.BatchJobTerminateOptions(termination_reason="test")
    client.begin_terminate_job(job_id, options, polling_interval=0.01)


def ended(client, bench, job_id):
    def job():
        found = client.get_job(job_id)
        return found if found.state == "completed" else None

    return bench.until(job, "the end of the job")


def status(client, job_id):
    return list(client.list_job_preparation_and_release_task_status(job_id))


def test_a_node_is_prepared_once_before_the_first_task_and_released_at_the_end(client, bench):
    pool_id = bench.pool(2, slots=1)
    job_id = prepared(bench, pool_id)
    for number in range(6):
        bench.task(job_id, str(number), RECORD.format(number))
    for number in range(6):
        bench.completed(job_id, str(number))
    end(client, job_id)
    ended(client, bench, job_id)
    found = status(client, job_id)
    assert {entry.node_id for entry in found} <= {node.id for node in client.list_nodes(pool_id)}
    for entry in found:
        order = b"".join(client.download_node_file(pool_id, entry.node_id, "shared/order")).decode().split()
        assert (order[0], order[-1]) == ("prepare", "release")
        assert order.count("prepare") == order.count("release") == 1
        before, after = entry.job_preparation_task_execution_info, entry.job_release_task_execution_info
        assert (before.state, before.result, before.exit_code, before.retry_count) == ("completed", "success", 0, 0)
        assert (after.state, after.result, after.exit_code) == ("completed", "success", 0)
        assert before.task_root_directory == f"workitems/{job_id}/job-1/jobpreparation"
        path = f"{after.task_root_directory}/stdout.txt"
        assert b"jobrelease/wd" in b"".join(client.download_node_file(pool_id, entry.node_id, path))


def test_all_tasks_of_a_job_know_where_it_was_prepared(client, bench):
    job_id = prepared(bench, bench.pool(), command=ENVIRONMENT, release=ENVIRONMENT)
    bench.run(job_id, "a", ENVIRONMENT)
    end(client, job_id)
    ended(client, bench, job_id)
    entry = status(client, job_id)[0]

    def environment(place):
        path = f"{place.task_root_directory}/stdout.txt"
        return json.loads(b"".join(client.download_node_file(entry.pool_id, entry.node_id, path)))

    before = environment(entry.job_preparation_task_execution_info)
    after = environment(entry.job_release_task_execution_info)
    task = json.loads(bench.text(job_id, "a"))
    assert task["AZ_BATCH_JOB_PREP_DIR"] == after["AZ_BATCH_JOB_PREP_DIR"] == before["AZ_BATCH_TASK_DIR"]
    assert task["AZ_BATCH_JOB_PREP_WORKING_DIR"] == before["AZ_BATCH_TASK_WORKING_DIR"]
    assert (before["AZ_BATCH_TASK_ID"], after["AZ_BATCH_TASK_ID"]) == ("jobpreparation", "jobrelease")
    assert "AZ_BATCH_JOB_PREP_DIR" not in before


def test_where_preparation_fails_no_task_of_the_job_runs(client, bench):
    limits = models.BatchTaskConstraints(max_task_retry_count=1)
    pool_id = bench.pool()
    job_id = prepared(bench, pool_id, "/bin/sh -c 'echo x >> tries; exit 3'", constraints=limits)
    bench.task(job_id, "a", "/bin/true")

    def failure():
        found = status(client, job_id)
        return found and found[0].job_preparation_task_execution_info.state == "completed" and found[0]

    before = bench.until(failure, "the end of the preparation").job_preparation_task_execution_info
    assert (before.exit_code, before.retry_count, before.result) == (3, 1, "failure")
    assert before.failure_info.code == "FailureExitCode"
    bench.until(lambda: client.get_task(job_id, "a").state == "active")
    assert bench.run(bench.job(pool_id), "b", "/bin/true").execution_info.result == "success"
    found = client.get_task(job_id, "a")
    assert (found.state, found.execution_info.requeue_count) == ("active", 0)
    end(client, job_id)
    ended(client, bench, job_id)
    assert status(client, job_id)[0].job_release_task_execution_info is None


def test_a_job_without_preparation_has_no_status(client, bench):
    with pytest.raises(HttpResponseError) as caught:
        status(client, bench.job())
    assert caught.value.error.code == "JobPreparationTaskNotSpecified"


@pytest.mark.live
def test_ids_of_special_tasks_are_taken(bench):
    job_id = prepared(bench, "no-such-pool")
    for task_id, code in (
        ("jobpreparation", "TaskIdSameAsJobPreparationTask"),
        ("jobrelease", "TaskIdSameAsJobReleaseTask"),
    ):
        with pytest.raises(HttpResponseError) as caught:
            bench.task(job_id, task_id, "x")
        assert caught.value.error.code == code


@pytest.mark.live
def test_special_tasks_are_given_back_with_their_defaults(client, bench):
    found = client.get_job(prepared(bench, "no-such-pool"))
    before, after = found.job_preparation_task, found.job_release_task
    assert (before.id, before.wait_for_success, before.rerun_on_node_reboot_after_success) == (
        "jobpreparation",
        True,
        True,
    )
    assert (after.id, after.max_wall_clock_time.seconds) == ("jobrelease", 900)


@pytest.mark.live
def test_a_release_task_needs_a_preparation_task(bench):
    with pytest.raises(HttpResponseError) as caught:
        bench.job(job_release_task=models.BatchJobReleaseTask(command_line="x"))
    assert caught.value.error.code == "InvalidPropertyValue"


def test_the_end_of_the_manager_task_is_the_end_of_the_job(client, bench):
    leader = models.BatchJobManagerTask(id="lead", command_line="/bin/sh -c 'echo led'")
    job_id = bench.job(bench.pool(), job_manager_task=leader)
    found = ended(client, bench, job_id)
    assert found.execution_info.termination_reason == "JMComplete"
    assert found.job_manager_task.kill_job_on_completion is True
    assert bench.text(job_id, "lead") == "led\n"


def test_a_job_can_outlive_its_manager_task(client, bench):
    leader = models.BatchJobManagerTask(id="lead", command_line="/bin/true", kill_job_on_completion=False)
    job_id = bench.job(bench.pool(), job_manager_task=leader)
    bench.completed(job_id, "lead")
    assert client.get_job(job_id).state == "active"
    assert bench.run(job_id, "a", "/bin/true").execution_info.result == "success"


def specification(option="job", *, keep=False, **more):
    machine = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="canonical", offer="ubuntu-24_04-lts", sku="server"),
        node_agent_sku_id="batch.node.ubuntu 24.04",
    )
    pool = models.BatchPoolSpecification(
        vm_size="STANDARD_D2_V3", virtual_machine_configuration=machine, target_dedicated_nodes=1, **more
    )
    return models.BatchPoolInfo(
        auto_pool_specification=models.BatchAutoPoolSpecification(
            auto_pool_id_prefix="auto", pool_lifetime_option=option, keep_alive=keep, pool=pool
        )
    )


def auto_job(client, bench, **more):
    job_id = bench.new_id("auto")
    client.create_job(models.BatchJobCreateOptions(id=job_id, **more))
    bench._jobs.append(job_id)
    return job_id


def test_an_auto_pool_lives_as_long_as_its_job(client, bench):
    job_id = auto_job(client, bench, pool_info=specification())
    done = bench.run(job_id, "a", "/bin/true")
    found = client.get_job(job_id)
    pool_id = found.execution_info.pool_id
    assert pool_id.startswith("auto_")
    assert done.node_info.pool_id == pool_id
    assert found.pool_info.pool_id is None
    assert found.pool_info.auto_pool_specification.auto_pool_id_prefix == "auto"
    end(client, job_id)
    ended(client, bench, job_id)

    def gone():
        try:
            return client.get_pool(pool_id) is None
        except ResourceNotFoundError:
            return True

    bench.until(gone, "the end of the pool")


def test_an_auto_pool_can_be_kept(client, bench):
    job_id = auto_job(client, bench, pool_info=specification(keep=True))
    pool_id = client.get_job(job_id).execution_info.pool_id
    bench._pools.append(pool_id)
    end(client, job_id)
    ended(client, bench, job_id)
    assert client.get_pool(pool_id).state == "active"


def test_only_a_schedule_can_share_an_auto_pool(client, bench):
    with pytest.raises(HttpResponseError) as caught:
        auto_job(client, bench, pool_info=specification("jobschedule"))
    assert caught.value.error.code == "InvalidPropertyValue"
