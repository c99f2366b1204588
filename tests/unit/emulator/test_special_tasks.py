"""Preparation, release, manager and multi-instance tasks, preemption, affinity, exit conditions: by hand and clock."""

import pytest

from batch_emulator import node_loss
from batch_emulator.errors import BatchError
from batch_emulator.operations import jobs, nodes, tasks

PREPARATION = {"commandLine": "prepare"}


@pytest.fixture
def ready(world):
    world.pool(nodes=2, slots=2)
    return world


def states(world, job_id="j"):
    return {task.id: task.state for task in world.account.jobs[job_id].tasks.values()}


def terminate(world, job_id="j"):
    world.call(jobs.terminate, {}, jobId=job_id)
    world.settle()


def test_tasks_wait_in_preparing_until_their_node_is_prepared(ready):
    ready.job(jobPreparationTask=PREPARATION)
    for name in "ab":
        ready.task(name)
    ready.settle()
    assert ready.running() == ["jobpreparation", "jobpreparation"]
    assert set(states(ready).values()) == {"preparing"}
    ready.end("jobpreparation")
    assert sorted(states(ready).values()) == ["preparing", "running"]
    ready.end("jobpreparation")
    assert ready.running() == ["a", "b"]


def test_nobody_waits_for_a_preparation_that_need_not_succeed(ready):
    ready.job(jobPreparationTask=PREPARATION | {"waitForSuccess": False})
    ready.task("a")
    ready.settle()
    assert ready.running() == ["a", "jobpreparation"]
    ready.end("jobpreparation", 1)
    ready.end("a")
    ready.task("b")
    ready.settle()
    assert states(ready) == {"a": "completed", "b": "running"}


def test_a_failed_preparation_gives_its_tasks_to_another_node(ready):
    job = ready.job(jobPreparationTask=PREPARATION)
    ready.task("a")
    ready.settle()
    ready.end("jobpreparation", 1)
    ready.settle()
    assert (ready.running(), states(ready)) == (["jobpreparation"], {"a": "preparing"})
    ready.end("jobpreparation")
    assert (states(ready), job.tasks["a"].requeues) == ({"a": "running"}, 0)


def test_a_node_is_prepared_again_after_a_reboot_or_not_as_the_job_says(world):
    for again in (True, False):
        name = f"j{again}".lower()
        world.pool(name)
        world.job(name, name, jobPreparationTask=PREPARATION | {"rerunOnNodeRebootAfterSuccess": again})
        world.task("a", name)
        world.settle()
        world.end("jobpreparation")
        world.end("a")
        node = next(iter(world.account.pools[name].nodes.values()))
        world.call(nodes.reboot, {}, poolId=name, nodeId=node.id)
        world.settle(5)
        world.task("b", name)
        world.settle()
        assert world.running() == (["jobpreparation"] if again else ["b"])
        world.launcher.running.clear()


def test_a_job_is_complete_when_all_its_release_tasks_are(ready):
    job = ready.job(jobPreparationTask=PREPARATION, jobReleaseTask={"commandLine": "release"})
    ready.task("a")
    ready.settle()
    ready.end("jobpreparation")
    ready.end("a")
    terminate(ready)
    assert (job.state, ready.running()) == ("terminating", ["jobrelease"])
    ready.end("jobrelease", 1)
    assert job.state == "completed"
    assert job.on_nodes[next(iter(job.on_nodes))].release.failure.code == "FailureExitCode"


def test_a_release_task_that_takes_too_long_is_ended(ready):
    job = ready.job(jobPreparationTask=PREPARATION, jobReleaseTask={"commandLine": "x", "maxWallClockTime": "PT1M"})
    ready.task("a")
    ready.settle()
    ready.end("jobpreparation")
    ready.end("a")
    terminate(ready)
    ready.settle(61)
    ready.end_stopped()
    assert job.state == "completed"


def test_a_job_ends_although_a_node_to_be_released_is_gone(world):
    pool = world.pool(nodes=0, targetLowPriorityNodes=1)
    job = world.job(jobPreparationTask=PREPARATION, jobReleaseTask={"commandLine": "x"})
    world.task("a")
    world.settle()
    world.end("jobpreparation")
    world.end("a")
    terminate(world)
    node_loss.preempt(world.account, next(iter(pool.nodes.values())))
    world.end_stopped()
    world.settle(10)
    assert job.state == "completed"


def test_the_manager_task_has_its_node_for_itself_and_goes_first(world):
    world.pool(nodes=1, slots=4)
    job = world.job(jobManagerTask={"id": "lead", "commandLine": "lead"})
    world.task("a")
    world.settle()
    assert world.running() == ["lead"]
    world.end("lead")
    assert (job.state, job.terminate_reason, states(world)["a"]) == ("completed", "JMComplete", "active")


def test_a_manager_task_may_share_its_node(world):
    world.pool(nodes=1, slots=4)
    world.job(jobManagerTask={"id": "lead", "commandLine": "lead", "runExclusive": False})
    world.task("a")
    world.settle()
    assert world.running() == ["a", "lead"]


def test_a_manager_task_can_ask_for_a_dedicated_node(world):
    world.pool(nodes=0, targetLowPriorityNodes=1)
    world.job(jobManagerTask={"id": "lead", "commandLine": "lead", "allowLowPriorityNode": False})
    world.settle()
    assert (world.running(), states(world)) == ([], {"lead": "active"})


def test_a_more_important_job_takes_the_slots_of_one_that_allows_it(world):
    world.pool(nodes=1, slots=2)
    world.job("low", allowTaskPreemption=True, priority=-5)
    for name in "ab":
        world.task(name, "low")
    world.settle()
    world.job("high", priority=5)
    world.task("c", "high")
    world.settle()
    assert [process.stopped for process in world.launcher.running].count(True) == 1
    world.end_stopped()
    assert states(world, "high") == {"c": "running"}
    assert sorted(states(world, "low").values()) == ["active", "running"]
    assert sum(task.requeues for task in world.account.jobs["low"].tasks.values()) == 1


def test_a_job_that_does_not_allow_it_keeps_its_slots(world):
    world.pool()
    world.job("low", priority=-5)
    world.task("a", "low")
    world.settle()
    world.job("high", priority=5)
    world.task("b", "high")
    world.settle(10)
    assert not any(process.stopped for process in world.launcher.running)


def test_a_task_runs_where_it_would_like_to_if_there_is_room(ready):
    ready.job()
    chosen = list(ready.account.pools["p"].nodes)[1]
    wanted = {"affinityInfo": {"affinityId": f"TVM:{chosen}"}}
    for name in "abc":
        ready.task(name, **wanted)
    ready.settle()
    places = [ready.account.jobs["j"].tasks[name].address.node_id for name in "abc"]
    assert places[:2] == [chosen, chosen]
    assert places[2] != chosen


SEVERAL = {"multiInstanceSettings": {"numberOfInstances": 2, "coordinationCommandLine": "coordinate"}}


def test_a_multi_instance_task_coordinates_on_all_nodes_then_runs_on_the_first(world):
    world.pool(nodes=3, enableInterNodeCommunication=True)
    world.job()
    task = world.task("m", **SEVERAL)
    world.settle()
    commands = [process.command for process in world.launcher.running]
    assert [command.arguments for command in commands] == [["coordinate"], ["coordinate"]]
    masters = [command.environment["AZ_BATCH_IS_CURRENT_NODE_MASTER"] for command in commands]
    assert sorted(masters) == ["false", "true"]
    assert len(commands[0].environment["AZ_BATCH_NODE_LIST"].split(";")) == 2
    world.end("m")
    world.end("m")
    assert (task.state, [process.command.arguments for process in world.launcher.running]) == ("running", [["run"]])
    assert sum(node.free_slots for node in world.account.pools["p"].nodes.values()) == 1
    world.end("m")
    assert (task.result, [subtask.state for subtask in task.subtasks]) == ("success", ["completed"])
    assert sum(node.free_slots for node in world.account.pools["p"].nodes.values()) == 3
    listed = world.call(tasks.list_subtasks, jobId="j", taskId="m").body
    assert b'"id":1' in listed


def test_when_coordination_fails_on_one_node_the_task_fails(world):
    world.pool(nodes=2, enableInterNodeCommunication=True)
    world.job()
    task = world.task("m", **SEVERAL)
    world.settle()
    world.end("m", 9)
    world.end_stopped()
    assert (task.result, task.exit_code, task.failure.code) == ("failure", 9, "FailureExitCode")


@pytest.mark.parametrize("pool", [{"slots": 2}, {"nodes": 1}, {"enableInterNodeCommunication": False}])
def test_a_multi_instance_task_waits_where_it_cannot_run(world, pool):
    world.pool(**({"nodes": 2, "enableInterNodeCommunication": True} | pool))
    world.job()
    task = world.task("m", **SEVERAL)
    world.task("a")
    world.settle(60)
    assert (task.state, world.running()) == ("active", ["a"])


def test_when_one_node_of_a_multi_instance_task_goes_all_of_it_is_requeued(world):
    pool = world.pool(nodes=2, enableInterNodeCommunication=True)
    world.job()
    task = world.task("m", **SEVERAL)
    world.settle()
    world.end("m")
    world.end("m")
    node_loss.lose(world.account, list(pool.nodes.values())[1])
    world.end_stopped()
    assert (task.state, task.requeues) == ("active", 1)


def conditions(**more):
    return {"exitConditions": more}


@pytest.mark.parametrize(
    ("code", "options", "state"),
    [
        (0, {}, "active"),
        (1, {}, "completed"),
        (1, conditions(default={"jobAction": "none"}), "active"),
        (1, conditions(exitCodes=[{"code": 1, "exitOptions": {"jobAction": "none"}}]), "active"),
        (4, conditions(exitCodeRanges=[{"start": 3, "end": 5, "exitOptions": {"jobAction": "disable"}}]), "disabled"),
        (0, conditions(exitCodes=[{"code": 0, "exitOptions": {"jobAction": "terminate"}}]), "completed"),
        (2, conditions(exitCodes=[{"code": 1, "exitOptions": {"jobAction": "none"}}]), "completed"),
    ],
)
def test_what_the_end_of_a_task_means_for_its_job(ready, code, options, state):
    job = ready.job(onTaskFailure="performexitoptionsjobaction")
    ready.task("a", **options)
    ready.settle()
    ready.end("a", code)
    assert job.state == state


def test_a_program_that_is_missing_is_a_preprocessing_error(ready):
    job = ready.job(onTaskFailure="performexitoptionsjobaction")
    both = {"preProcessingError": {"jobAction": "disable"}, "default": {"jobAction": "terminate"}}
    ready.task("a", commandLine="missing", exitConditions=both)
    ready.settle()
    assert job.state == "disabled"


def test_what_waits_for_a_failed_task_stays_active(ready):
    ready.job(usesTaskDependencies=True)
    ready.task("1")
    ready.task("b", dependsOn={"taskIds": ["1"]})
    ready.task("c", dependsOn={"taskIdRanges": [{"start": 1, "end": 1}]})
    ready.settle()
    ready.end("1", 1)
    ready.settle(60)
    assert states(ready) == {"1": "completed", "b": "active", "c": "active"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"jobReleaseTask": {"commandLine": "x"}}, "InvalidPropertyValue"),
        ({"jobManagerTask": {"id": "m"}}, "MissingRequiredProperty"),
        ({"jobManagerTask": {"id": "a/b", "commandLine": "x"}}, "InvalidPropertyValue"),
        ({"jobManagerTask": {"id": "m", "commandLine": "x", "authenticationTokenSettings": {}}}, "InvalidRequestBody"),
        ({"jobPreparationTask": PREPARATION, "jobReleaseTask": PREPARATION | {"id": "jobpreparation"}}, "InvalidProp"),
        (
            {"jobPreparationTask": PREPARATION, "jobReleaseTask": PREPARATION | {"maxWallClockTime": "PT16M"}},
            "InvalidPropertyValue",
        ),
        ({"poolInfo": {}}, "MissingRequiredProperty"),
        ({"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "job"}}}, "MissingRequiredProperty"),
    ],
)
def test_jobs_that_could_not_be_are_refused(world, body, code):
    with pytest.raises(BatchError, match=code):
        world.job(**body)
    assert world.account.jobs == {}
