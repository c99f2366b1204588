import pytest

from batch_emulator.errors import BatchError


@pytest.fixture
def ready(world):
    world.pool(slots=50)
    world.job(usesTaskDependencies=True)
    return world


def on(*ids, ranges=()):
    return {"taskIds": list(ids), "taskIdRanges": [{"start": start, "end": end} for start, end in ranges]}


def test_a_task_waits_for_all_that_it_names_whatever_their_order(ready):
    ready.task("last", dependsOn=on("a", "B"))
    ready.task("a")
    ready.task("b")
    ready.settle()
    assert ready.running() == ["a", "b"]
    ready.end("a")
    assert ready.running() == ["b"]
    ready.end("b")
    assert ready.running() == ["last"]


def test_a_range_waits_for_every_integer_id_in_it(ready):
    ready.task("merge", dependsOn=on(ranges=[(1, 3)]))
    for name in ("1", "2", "3", "03", "4"):
        ready.task(name)
    ready.settle()
    for name in ("1", "03", "2"):
        ready.end(name)
        assert "merge" not in ready.running()
    ready.end("3")
    assert ready.running() == ["4", "merge"]


def test_what_was_satisfied_before_is_not_waited_for(ready):
    ready.task("1")
    ready.task("x")
    ready.settle()
    ready.end("1")
    ready.end("x")
    ready.task("late", dependsOn=on("X", ranges=[(1, 1)]))
    ready.settle()
    assert ready.running() == ["late"]


def test_a_failed_task_blocks_its_dependants(ready):
    ready.task("a")
    blocked = ready.task("b", dependsOn=on("a"))
    ready.settle()
    ready.end("a", 1)
    ready.settle(100)
    assert (ready.running(), blocked.state) == ([], "active")


def test_dependency_action_satisfy_lets_dependants_run_after_a_failure(ready):
    ready.task("a", exitConditions={"default": {"dependencyAction": "Satisfy"}})
    ready.task("b", dependsOn=on("a"))
    ready.settle()
    ready.end("a", 1)
    assert ready.running() == ["b"]


def test_exit_codes_and_ranges_decide_before_the_default(ready):
    conditions = {
        "exitCodes": [{"code": 0, "exitOptions": {"dependencyAction": "block"}}],
        "exitCodeRanges": [{"start": 10, "end": 19, "exitOptions": {"dependencyAction": "satisfy"}}],
        "default": {"dependencyAction": "block"},
    }
    for name in ("zero", "ten", "two"):
        ready.task(name, exitConditions=conditions)
        ready.task(f"after-{name}", dependsOn=on(name))
    ready.settle()
    for name, code in (("zero", 0), ("ten", 12), ("two", 2)):
        ready.end(name, code)
    assert ready.running() == ["after-ten"]


def test_a_pre_processing_error_has_its_own_condition(ready):
    conditions = {"preProcessingError": {"dependencyAction": "satisfy"}}
    ready.task("a", commandLine="missing", exitConditions=conditions)
    ready.task("b", dependsOn=on("a"))
    ready.settle()
    assert ready.running() == ["b"]


def test_a_terminated_dependant_does_not_start_later(ready):
    from batch_emulator.operations import tasks

    ready.task("a")
    ready.task("b", dependsOn=on("a"))
    ready.settle()
    ready.call(tasks.terminate, jobId="j", taskId="b")
    ready.end("a")
    assert ready.running() == []


def test_dependencies_need_a_job_that_uses_them(ready):
    ready.job("plain")
    with pytest.raises(BatchError) as caught:
        ready.task("a", "plain", dependsOn=on("b"))
    assert caught.value.code == "TaskDependenciesNotSpecifiedOnJob"


def test_a_range_over_a_hundred_thousand_ids_costs_nothing_to_wait_for(ready):
    task = ready.task("merge", dependsOn=on(ranges=[(0, 99_999)]))
    assert task.waits_for == 100_000
