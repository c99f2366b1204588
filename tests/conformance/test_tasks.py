import json
from pathlib import Path

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError


def task(task_id, command_line="/bin/true", **more):
    return models.BatchTaskCreateOptions(id=task_id, command_line=command_line, **more)


@pytest.mark.live
def test_a_new_task_has_the_services_defaults(client, bench):
    job_id = bench.job()
    bench.task(job_id, "a", "/bin/true")
    found = client.get_task(job_id, "a")
    assert (found.state, found.required_slots) == ("active", 1)
    assert (found.user_identity.auto_user.scope, found.user_identity.auto_user.elevation_level) == ("pool", "nonadmin")
    assert found.constraints.retention_time.days == 7
    assert (found.execution_info.retry_count, found.execution_info.requeue_count) == (0, 0)
    assert found.node_info is None


@pytest.mark.live
def test_250_tasks_are_added_through_the_sdk(client, bench):
    job_id = bench.job()
    result = client.create_tasks(job_id, [task(str(number)) for number in range(250)], max_concurrency=2)
    assert {entry.task_id for entry in result.result_values} == {str(number) for number in range(250)}
    assert sorted(int(found.id) for found in client.list_tasks(job_id, max_results=100)) == list(range(250))


@pytest.mark.live
def test_adding_the_same_tasks_again_counts_as_success(client, bench):
    job_id = bench.job()
    client.create_tasks(job_id, [task("a"), task("b")])
    client.create_tasks(job_id, [task("a"), task("b"), task("c")])
    assert client.get_job_task_counts(job_id).task_counts.active == 3


def test_each_task_of_a_collection_has_a_result_of_its_own(account, bench):
    job_id = bench.job()
    entries = [
        {"id": "a", "commandLine": "x"},
        {"id": "A", "commandLine": "x"},
        {"id": "b"},
        {"id": "../c", "commandLine": "x"},
        {"id": "d", "commandLine": "x", "resourceFiles": [{"autoStorageContainerName": "c"}]},
    ]
    answer = account.send("POST", f"/jobs/{job_id}/addtaskcollection", {"value": entries})
    results = answer.body["value"]
    assert [entry["status"].lower() for entry in results] == ["success"] + ["clienterror"] * 4
    assert [entry.get("error", {}).get("code") for entry in results] == [
        None,
        "TaskExists",
        "MissingRequiredProperty",
        "InvalidPropertyValue",
        "AutoStorageNotConfigured",
    ]
    assert results[0]["location"] == f"{account.endpoint}/jobs/{job_id}/tasks/a"


def test_more_than_100_tasks_in_a_call_are_refused(account, bench):
    job_id = bench.job()
    entries = [{"id": str(number), "commandLine": "x"} for number in range(101)]
    answer = account.send("POST", f"/jobs/{job_id}/addtaskcollection", {"value": entries})
    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")


def test_large_tasks_are_split_by_the_sdk_until_they_fit(client, bench):
    job_id = bench.job()
    big = [task(str(number), "/bin/echo " + "x" * 20_000) for number in range(100)]
    client.create_tasks(job_id, big)
    assert client.get_job_task_counts(job_id).task_counts.active == 100


def test_a_task_runs_in_azures_directories_with_azures_variables(bench):
    pool_id = bench.pool()
    settings = [
        models.EnvironmentSetting(name="COMMON", value="job"),
        models.EnvironmentSetting(name="BOTH", value="job"),
    ]
    job_id = bench.job(pool_id, common_environment_settings=settings)
    own = [models.EnvironmentSetting(name="BOTH", value="task")]
    done = bench.run(
        job_id,
        "env",
        """/usr/bin/python3 -c 'import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))'""",
        environment_settings=own,
    )
    environment, cwd = json.loads(bench.text(job_id, "env"))
    root = environment["AZ_BATCH_NODE_ROOT_DIR"]
    assert (environment["COMMON"], environment["BOTH"]) == ("job", "task")
    assert environment["AZ_BATCH_TASK_DIR"] == f"{root}/workitems/{job_id}/job-1/env"
    assert environment["AZ_BATCH_TASK_WORKING_DIR"] == environment["HOME"] == cwd
    assert cwd == f"{root}/workitems/{job_id}/job-1/env/wd"
    assert environment["AZ_BATCH_NODE_SHARED_DIR"] == f"{root}/shared"
    assert environment["AZ_BATCH_NODE_STARTUP_DIR"] == f"{root}/startup"
    assert environment["AZ_BATCH_POOL_ID"] == done.node_info.pool_id == pool_id
    assert environment["AZ_BATCH_NODE_ID"] == done.node_info.node_id
    assert (environment["AZ_BATCH_JOB_ID"], environment["AZ_BATCH_TASK_ID"]) == (job_id, "env")
    assert environment["AZ_BATCH_NODE_IS_DEDICATED"] == "true"
    assert done.node_info.task_root_directory == f"workitems/{job_id}/job-1/env"


def test_a_command_line_is_split_like_a_shell_does_but_runs_without_one(bench):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "a", """/bin/echo "a  b" 'c' $HOME > out""")
    assert bench.text(job_id, "a") == "a  b c $HOME > out\n"


@pytest.mark.parametrize(
    ("command", "exit_code", "failure"),
    [
        ("/bin/true", 0, None),
        ("/bin/sh -c 'exit 7'", 7, "FailureExitCode"),
        ("/bin/sh -c 'kill -9 $$'", 137, "FailureExitCode"),
        ("/no/such/program", None, "CommandProgramNotFound"),
        ("/etc/passwd", None, "CommandLaunchFailed"),
        ("'unclosed", None, "CommandLaunchFailed"),
    ],
)
def test_how_a_task_ended_is_recorded(bench, command, exit_code, failure):
    done = bench.run(bench.job(bench.pool()), "a", command).execution_info
    assert done.exit_code == exit_code
    assert (done.failure_info and done.failure_info.code) == failure
    assert done.result == ("failure" if failure else "success")
    assert done.start_time <= done.end_time


def test_a_failing_task_is_retried(bench):
    job_id = bench.job(bench.pool())
    command = "/bin/sh -c 'echo x >> tries; test $(wc -l < tries) -eq 3'"
    limits = models.BatchTaskConstraints(max_task_retry_count=5)
    done = bench.run(job_id, "a", command, constraints=limits).execution_info
    assert (done.retry_count, done.exit_code, done.result) == (2, 0, "success")


def test_a_terminated_task_dies_with_its_children(client, bench, until):
    job_id = bench.job(bench.pool())
    bench.task(job_id, "a", "/bin/sh -c 'sleep 300 & echo $! > child; sleep 300'")
    pid = int(until(lambda: bench_read(bench, job_id, "wd/child")))
    client.terminate_task(job_id, "a")
    done = bench.completed(job_id, "a")
    assert done.execution_info.failure_info.code == "TaskEnded"
    until(lambda: is_gone(pid), "the end of the child")


def test_children_that_a_task_leaves_behind_die_with_it(bench, until):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "a", "/bin/sh -c 'sleep 300 & echo $! > child'")
    pid = int(bench.text(job_id, "a", "wd/child"))
    until(lambda: is_gone(pid), "the end of the child")


def bench_read(bench, job_id, path):
    try:
        return bench.text(job_id, "a", path)
    except HttpResponseError:
        return ""


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_a_task_past_its_time_is_ended(bench):
    limits = models.BatchTaskConstraints(max_wall_clock_time="PT0.2S")
    done = bench.run(bench.job(bench.pool()), "a", "/bin/sleep 300", constraints=limits)
    assert done.execution_info.failure_info.code == "TaskEnded"


def test_a_merge_task_waits_for_the_range_of_all_others(client, bench):
    job_id = bench.job(bench.pool(), uses_task_dependencies=True)
    after = models.BatchTaskDependencies(task_id_ranges=[models.BatchTaskIdRange(start=0, end=9)])
    satisfy = models.ExitConditions(default=models.ExitOptions(dependency_action="satisfy"))
    chunks = [task(str(n), f"/bin/sh -c 'exit {n % 2}'", exit_conditions=satisfy) for n in range(10)]
    client.create_tasks(job_id, [task("merge", depends_on=after), *chunks])
    merged = bench.completed(job_id, "merge")
    ends = [found.execution_info.end_time for found in client.list_tasks(job_id) if found.id != "merge"]
    assert len(ends) == 10
    assert max(ends) <= merged.execution_info.start_time


@pytest.mark.live
def test_dependencies_need_a_job_that_uses_them(bench):
    job_id = bench.job()
    with pytest.raises(HttpResponseError) as caught:
        bench.task(job_id, "a", "x", depends_on=models.BatchTaskDependencies(task_ids=["b"]))
    assert caught.value.error.code == "TaskDependenciesNotSpecifiedOnJob"


@pytest.mark.live
def test_tasks_are_replaced_deleted_and_found_missing(client, bench):
    job_id = bench.job()
    bench.task(job_id, "a", "x")
    with pytest.raises(ResourceExistsError):
        bench.task(job_id, "a", "x")
    limits = models.BatchTaskConstraints(max_task_retry_count=4)
    client.replace_task(job_id, "a", models.BatchTask(constraints=limits))
    assert client.get_task(job_id, "a").constraints.max_task_retry_count == 4
    client.delete_task(job_id, "a")
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_task(job_id, "a")
    assert caught.value.error.code == "TaskNotFound"


def test_a_failed_task_can_be_reactivated(client, bench):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "a", "/bin/sh -c 'test -e $AZ_BATCH_NODE_SHARED_DIR/go'")
    bench.run(job_id, "b", "/bin/sh -c 'touch $AZ_BATCH_NODE_SHARED_DIR/go'")
    client.reactivate_task(job_id, "a")
    assert bench.completed(job_id, "a").execution_info.result == "success"
    with pytest.raises(HttpResponseError) as caught:
        client.reactivate_task(job_id, "a")
    assert caught.value.error.code == "TaskSucceeded"


def test_tasks_are_filtered_by_state_and_exit_code(client, bench):
    job_id = bench.job(bench.pool())
    for number in range(3):
        bench.run(job_id, str(number), f"/bin/sh -c 'exit {number}'")
    failed = client.list_tasks(job_id, filter="state eq 'completed' and executionInfo/exitCode gt 0")
    assert [found.id for found in failed] == ["1", "2"]


def test_subtasks_are_none(client, bench):
    job_id = bench.job()
    bench.task(job_id, "a", "x")
    assert list(client.list_subtasks(job_id, "a")) == []


def test_two_clients_at_once_lose_nothing(account, bench, client):
    from concurrent.futures import ThreadPoolExecutor

    job_id = bench.job(bench.pool(slots=8))

    def add(half):
        with account.client() as own:
            own.create_tasks(job_id, [task(f"{half}-{number}") for number in range(120)])

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(add, "ab"))
    counts = bench.until(
        lambda: (c := client.get_job_task_counts(job_id).task_counts).completed == 240 and c, "240 tasks"
    )
    assert (counts.succeeded, counts.active, counts.running) == (240, 0, 0)
