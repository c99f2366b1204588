import pytest

from batch_emulator.errors import BatchError
from batch_emulator.operations import jobs


@pytest.fixture
def ready(world):
    world.pool(slots=2)
    return world


def act(world, operation, body=None):
    return world.call(operation, body if body is not None else {}, jobId="j")


def test_terminate_kills_running_tasks_and_leaves_active_ones(ready):
    job = ready.job()
    names = ("a", "b", "c")
    a, b, c = (ready.task(name) for name in names)
    ready.settle()
    act(ready, jobs.terminate, {"terminateReason": "enough"})
    assert job.state == "terminating"
    ready.end_stopped()
    assert (job.state, job.terminate_reason) == ("completed", "enough")
    assert (a.state, b.state, c.state) == ("completed", "completed", "active")
    assert ready.running() == []


@pytest.mark.parametrize("operation", [jobs.terminate, jobs.enable])
def test_a_completed_job_accepts_nothing(ready, operation):
    ready.job()
    act(ready, jobs.terminate)
    with pytest.raises(BatchError, match="JobCompleted"):
        act(ready, operation)
    with pytest.raises(BatchError, match="JobCompleted"):
        ready.task("a")
    with pytest.raises(BatchError, match="JobCompleted"):
        act(ready, jobs.patch, {"priority": 1})


def test_terminatejob_ends_a_job_without_tasks_at_once(ready):
    job = ready.job(onAllTasksComplete="terminatejob")
    assert (job.state, job.terminate_reason) == ("completed", "AllTasksComplete")


def test_terminatejob_set_after_the_tasks_ends_the_job_with_the_last_of_them(ready):
    job = ready.job()
    ready.task("a")
    ready.task("b")
    act(ready, jobs.patch, {"onAllTasksComplete": "terminatejob"})
    ready.settle()
    ready.end("a", 1)
    assert job.state == "active"
    ready.end("b")
    assert (job.state, job.terminate_reason) == ("completed", "AllTasksComplete")


def test_terminatejob_cannot_be_taken_back(ready):
    ready.job()
    ready.task("a")
    act(ready, jobs.patch, {"onAllTasksComplete": "terminatejob"})
    with pytest.raises(BatchError, match="onAllTasksComplete"):
        act(ready, jobs.patch, {"onAllTasksComplete": "noaction"})


def test_disable_with_requeue_takes_tasks_back_and_enable_starts_them_again(ready):
    job = ready.job()
    task = ready.task("a")
    ready.settle()
    act(ready, jobs.disable, {"disableTasks": "requeue"})
    assert job.state == "disabling"
    ready.end_stopped()
    ready.settle(1)
    assert (job.state, task.state, task.requeues, ready.running()) == ("disabled", "active", 1, [])
    act(ready, jobs.enable)
    ready.settle()
    assert (job.state, ready.running()) == ("active", ["a"])


def test_disable_with_wait_lets_running_tasks_end(ready):
    job = ready.job(maxParallelTasks=1)
    ready.task("a")
    ready.task("b")
    ready.settle()
    act(ready, jobs.disable, {"disableTasks": "wait"})
    assert not ready.launcher.running[0].stopped
    ready.end("a")
    assert (job.state, ready.running()) == ("disabled", [])


def test_disable_with_terminate_completes_running_tasks(ready):
    job = ready.job()
    task = ready.task("a")
    ready.settle()
    act(ready, jobs.disable, {"disableTasks": "terminate"})
    ready.end_stopped()
    assert (job.state, task.state, task.failure.code) == ("disabled", "completed", "TaskEnded")


def test_a_job_past_its_wall_clock_time_is_terminated(ready):
    job = ready.job(constraints={"maxWallClockTime": "PT10M"})
    ready.task("a")
    ready.settle(599)
    assert job.state == "active"
    ready.settle(2)
    ready.end_stopped()
    assert (job.state, job.terminate_reason) == ("completed", "MaxWallClockTimeExpiry")


def test_delete_waits_for_the_tasks_and_then_forgets_the_job(ready):
    job = ready.job()
    ready.task("a")
    ready.settle()
    act(ready, jobs.delete)
    assert job.state == "deleting"
    with pytest.raises(BatchError, match="JobBeingDeleted"):
        act(ready, jobs.delete)
    with pytest.raises(BatchError, match="JobBeingDeleted"):
        ready.task("b")
    ready.end_stopped()
    with pytest.raises(BatchError, match="JobNotFound"):
        act(ready, jobs.get)
    assert ready.job().key != job.key


def test_a_tasks_exit_options_can_end_its_job(ready):
    job = ready.job(onTaskFailure="performExitOptionsJobAction")
    ready.task("a", exitConditions={"exitCodes": [{"code": 5, "exitOptions": {"jobAction": "terminate"}}]})
    ready.task("b")
    ready.settle()
    ready.end("a", 5)
    ready.end_stopped()
    assert (job.state, job.terminate_reason) == ("completed", "TaskFailed")


def test_a_job_action_needs_a_job_that_performs_it(ready):
    ready.job()
    with pytest.raises(BatchError, match="onTaskFailure"):
        ready.task("a", exitConditions={"default": {"jobAction": "terminate"}})


def test_the_pool_of_a_job_changes_only_while_it_is_disabled(ready):
    job = ready.job()
    with pytest.raises(BatchError, match="OperationInvalidForCurrentState"):
        act(ready, jobs.patch, {"poolInfo": {"poolId": "other"}})
    act(ready, jobs.disable, {"disableTasks": "wait"})
    act(ready, jobs.patch, {"poolInfo": {"poolId": "other"}})
    act(ready, jobs.enable)
    world_pool = ready.pool("other")
    ready.task("a")
    ready.settle()
    assert job.pool_id == "other"
    assert len(next(iter(world_pool.nodes.values())).running) == 1


def test_put_sets_what_it_does_not_name_to_the_default(ready):
    job = ready.job(priority=9, maxParallelTasks=3, metadata=[{"name": "a", "value": "b"}])
    act(ready, jobs.replace, {"poolInfo": {"poolId": "p"}, "constraints": {"maxTaskRetryCount": 2}})
    assert (job.priority, job.max_parallel, job.max_retries) == (0, -1, 2)
    assert job.spec["metadata"] == []
