"""Auto scale, seen by the SDK."""

import datetime

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError

from batch_emulator.account import Settings
from batch_emulator.server import running_in_thread

RESULTS = "$TargetDedicatedNodes={};$TargetLowPriorityNodes={};$NodeDeallocationOption=requeue"
GUARD = """
startingNumberOfVMs = 1;
maxNumberofVMs = 2;
percent = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
samples = percent < 70 ? startingNumberOfVMs : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
$TargetDedicatedNodes = min(maxNumberofVMs, samples);
$NodeDeallocationOption = taskcompletion;
"""


def minutes(number):
    return datetime.timedelta(minutes=number)


def make(client, bench, formula="$TargetDedicatedNodes = 1;", **more):
    """A pool that scales itself from the start."""
    pool_id = bench.new_id("auto")
    existing = bench.pool(nodes=0)
    client.create_pool(
        models.BatchPoolCreateOptions(
            id=pool_id,
            vm_size="standard_d2_v3",
            virtual_machine_configuration=client.get_pool(existing).virtual_machine_configuration,
            enable_auto_scale=True,
            auto_scale_formula=formula,
            **more,
        )
    )
    bench._pools.append(pool_id)
    return pool_id


def refused(call, *arguments):
    with pytest.raises(HttpResponseError) as caught:
        call(*arguments)
    return caught.value.status_code, caught.value.error.code


def test_a_pool_that_is_made_with_a_formula_is_sized_by_it_at_once(client, bench):
    pool_id = make(client, bench, GUARD)
    pool = bench.until(lambda: (found := client.get_pool(pool_id)).allocation_state == "steady" and found)
    assert (pool.enable_auto_scale, pool.auto_scale_formula) == (True, GUARD)
    assert pool.auto_scale_evaluation_interval == minutes(15)
    assert (pool.target_dedicated_nodes, pool.current_dedicated_nodes) == (1, 1)
    assert pool.auto_scale_run.error is None
    assert pool.auto_scale_run.results == (
        RESULTS.format(1, 0).replace("requeue", "taskcompletion")
        + ";startingNumberOfVMs=1;maxNumberofVMs=2;percent=0;samples=1"
    )


def test_auto_scale_is_enabled_changed_and_disabled(client, bench):
    pool_id = bench.pool(nodes=0)
    options = models.BatchPoolEnableAutoScaleOptions
    assert refused(client.enable_pool_auto_scale, pool_id, options()) == (400, "MissingRequiredProperty")
    client.enable_pool_auto_scale(
        pool_id,
        options(auto_scale_formula="$TargetDedicatedNodes = 2;", auto_scale_evaluation_interval=minutes(6)),
    )
    bench.until(lambda: client.get_pool(pool_id).current_dedicated_nodes == 2)
    resize = models.BatchPoolResizeOptions(target_dedicated_nodes=0)
    assert refused(client._resize_pool_internal, pool_id, resize) == (409, "OperationInvalidForCurrentState")
    bench.until(lambda: client.get_pool(pool_id).allocation_state == "steady")
    again = options(auto_scale_formula="$TargetDedicatedNodes = 0;")
    assert refused(client.enable_pool_auto_scale, pool_id, again) == (503, "TooManyEnableAutoScaleRequests")
    client.disable_pool_auto_scale(pool_id)
    pool = client.get_pool(pool_id)
    assert (pool.enable_auto_scale, pool.auto_scale_formula, pool.target_dedicated_nodes) == (False, None, 2)


def test_a_formula_can_be_tried_without_being_applied(client, bench):
    pool_id = make(client, bench, "$TargetDedicatedNodes = 2;")

    def tried(formula):
        return client.evaluate_pool_auto_scale(
            pool_id, models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula)
        )

    assert tried("$TargetLowPriorityNodes = 3; $x = 7;").results == RESULTS.format(2, 3) + ";$x=7"
    useless = tried("$something_useless")
    assert (useless.error.code, useless.results) == ("AutoScalingFormulaEvaluationError", RESULTS.format(2, 0))
    lacking = tried("$TargetDedicatedNodes=$CPUPercent.GetSample(TimeInterval_Minute*10,50);")
    assert lacking.error.code == "InsufficientSampleData"
    assert lacking.error.message == "Autoscale evaluation failed due to insufficient sample data"
    expected = "Line 1, Col 23: Insufficient data from data set: $CPUPercent wanted 50%, received 0%"
    assert [(one.name, one.value) for one in lacking.error.error_values] == [("Message", expected)]
    assert refused(tried, "$TargetDedicatedNodes = (1") == (400, "AutoScalingFormulaSyntaxError")
    assert refused(tried, "a = 1;" + " " * 9000) == (400, "AutoScalingFormulaTooLong")
    assert client.get_pool(pool_id).target_dedicated_nodes == 2


def test_a_pool_without_auto_scale_evaluates_nothing(client, bench):
    options = models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula="a = 1;")
    found = refused(client.evaluate_pool_auto_scale, bench.pool(nodes=0), options)
    assert found == (409, "OperationInvalidForCurrentState")


@pytest.mark.parametrize("interval", [minutes(4), minutes(168 * 60 + 1)])
def test_intervals_have_bounds(client, bench, interval):
    options = models.BatchPoolEnableAutoScaleOptions(auto_scale_formula="a=1;", auto_scale_evaluation_interval=interval)
    found = refused(client.enable_pool_auto_scale, bench.pool(nodes=0), options)
    assert found == (400, "InvalidPropertyValue")


def test_a_rehearsal_at_a_thousandfold_speed_grows_and_shrinks_with_the_load(account_of, bench_of, until):
    """Five minutes of the service take a third of a second; the tasks run in real time."""
    with running_in_thread(Settings(node_delay=1.0, time_scale=1000)) as server, account_of(server).client() as client:
        bench = bench_of(client)
        pool_id = make(client, bench, GUARD, auto_scale_evaluation_interval=minutes(5))
        job_id = bench.job(pool_id)
        for number in range(8):
            bench.task(job_id, f"t{number}", "/bin/sleep 0.3")
        until(lambda: client.get_pool(pool_id).target_dedicated_nodes == 2)
        until(lambda: client.get_job_task_counts(job_id).task_counts.succeeded == 8)
        until(lambda: client.get_pool(pool_id).current_dedicated_nodes == 0)
