import pytest

from batch_emulator.errors import BatchError
from batch_emulator.operations import jobs, nodes, pools, tasks


@pytest.fixture
def ready(world):
    world.pool(slots=4)
    return world


def counts(job):
    return (job.counts.active, job.counts.running, job.counts.succeeded, job.counts.failed)


def test_a_task_that_exits_with_zero_succeeds(ready):
    job, task = ready.job(), ready.task("a")
    assert counts(job) == (1, 0, 0, 0)
    ready.settle()
    assert (task.state, counts(job)) == ("running", (0, 1, 0, 0))
    ready.end("a")
    assert (task.state, task.result, task.exit_code, task.failure) == ("completed", "success", 0, None)
    assert counts(job) == (0, 0, 1, 0)


def test_a_task_that_exits_otherwise_fails_with_its_code(ready):
    job, task = ready.job(), ready.task("a")
    ready.settle()
    ready.end("a", 3)
    assert (task.result, task.exit_code, task.failure.code) == ("failure", 3, "FailureExitCode")
    assert counts(job) == (0, 0, 0, 1)


def test_a_failing_task_is_retried_as_often_as_it_may(ready):
    ready.job()
    task = ready.task("a", constraints={"maxTaskRetryCount": 2})
    ready.settle()
    for retries in (1, 2):
        ready.end("a", 1)
        ready.settle(10)
        assert (task.state, task.retries) == ("running", retries)
    ready.end("a", 1)
    assert (task.state, task.retries, task.result) == ("completed", 2, "failure")


def test_the_limit_of_retries_comes_from_the_job_when_the_task_has_none(ready):
    ready.job(constraints={"maxTaskRetryCount": -1})
    task = ready.task("a")
    ready.settle()
    for _ in range(30):
        ready.end("a", 1)
        ready.settle(10)
    ready.end("a", 0)
    assert (task.retries, task.result) == (30, "success")


def test_a_program_that_does_not_exist_is_a_failure_without_exit_code(ready):
    ready.job(constraints={"maxTaskRetryCount": 3})
    task = ready.task("a", commandLine="missing --now")
    ready.settle()
    assert (task.state, task.exit_code, task.failure.code) == ("completed", None, "CommandProgramNotFound")


def test_a_task_past_its_wall_clock_time_is_ended(ready):
    ready.job()
    task = ready.task("a", constraints={"maxWallClockTime": "PT1M"})
    ready.settle()
    ready.settle(59)
    assert not ready.launcher.running[0].stopped
    ready.settle(2)
    ready.end_stopped()
    assert (task.state, task.failure.code) == ("completed", "TaskEnded")
    assert "maximum execution time" in task.failure.details[0][1]


def test_terminating_a_running_task_kills_it_and_an_active_one_completes_at_once(ready):
    ready.job(maxParallelTasks=1)
    running, waiting = ready.task("a"), ready.task("b")
    ready.settle()
    for name in ("a", "b"):
        ready.call(tasks.terminate, jobId="j", taskId=name)
    assert (running.state, waiting.state) == ("running", "completed")
    ready.end_stopped()
    assert running.failure.code == waiting.failure.code == "TaskEnded"


def test_a_failed_task_can_be_reactivated_and_a_successful_one_cannot(ready):
    job = ready.job()
    task = ready.task("a")
    with pytest.raises(BatchError, match="TaskNotCompleted"):
        ready.call(tasks.reactivate, jobId="j", taskId="a")
    ready.settle()
    ready.end("a", 1)
    ready.call(tasks.reactivate, jobId="j", taskId="a")
    assert counts(job) == (1, 0, 0, 0)
    ready.settle()
    ready.end("a", 0)
    assert (task.result, counts(job)) == ("success", (0, 0, 1, 0))
    with pytest.raises(BatchError, match="TaskSucceeded"):
        ready.call(tasks.reactivate, jobId="j", taskId="a")


def test_a_deleted_task_is_killed_and_no_longer_counted(ready):
    job = ready.job()
    ready.task("a")
    ready.task("b")
    ready.settle()
    ready.call(tasks.delete, jobId="j", taskId="a")
    ready.end_stopped()
    assert list(job.tasks) == ["b"]
    assert counts(job) == (0, 1, 0, 0)


def test_a_task_whose_node_goes_is_requeued_without_counting_a_retry(ready):
    ready.job()
    task = ready.task("a")
    ready.settle()
    node_id = task.address.node_id
    ready.call(pools.remove_nodes, {"nodeList": [node_id]}, poolId="p")
    ready.end_stopped()
    assert (task.state, task.requeues, task.retries) == ("active", 1, 0)
    ready.call(pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    ready.settle(1)
    assert task.state == "running"
    assert task.address.node_id != node_id


def test_a_node_that_waits_for_its_tasks_leaves_after_them(ready):
    ready.job()
    task = ready.task("a")
    ready.settle()
    ready.call(pools.resize, {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion"}, poolId="p")
    ready.settle(1)
    ready.task("late")
    ready.settle(1)
    pool = ready.account.pools["p"]
    assert (task.state, len(pool.nodes), pool.allocation) == ("running", 1, "resizing")
    ready.end("a")
    assert (task.result, len(pool.nodes), pool.allocation) == ("success", 0, "steady")
    assert ready.running() == []


def test_a_node_without_scheduling_gets_no_tasks(ready):
    node_id = next(iter(ready.account.pools["p"].nodes))
    ready.call(nodes.disable_scheduling, {}, poolId="p", nodeId=node_id)
    ready.job()
    ready.task("a")
    ready.settle(1)
    assert ready.running() == []
    ready.call(nodes.enable_scheduling, poolId="p", nodeId=node_id)
    ready.settle()
    assert ready.running() == ["a"]


def test_the_constraints_of_a_task_can_be_replaced_until_it_is_completed(ready):
    ready.job()
    task = ready.task("a")
    ready.call(tasks.replace, {"constraints": {"maxTaskRetryCount": 4}}, jobId="j", taskId="a")
    assert task.constraints.max_retries == 4
    ready.settle()
    ready.call(tasks.terminate, jobId="j", taskId="a")
    ready.end_stopped()
    with pytest.raises(BatchError, match="TaskCompleted"):
        ready.call(tasks.replace, {}, jobId="j", taskId="a")


def test_ids_are_unique_whatever_their_case(ready):
    ready.job()
    ready.task("a")
    with pytest.raises(BatchError, match="TaskExists"):
        ready.task("A")
    with pytest.raises(BatchError, match="JobExists"):
        ready.call(jobs.create, {"id": "J", "poolInfo": {"poolId": "p"}})
