"""Auto scale of pools in time: intervals, rules, and recorded load curves of a usual formula."""

import json
from dataclasses import dataclass, field

import pytest

from batch_emulator import node_loss
from batch_emulator.errors import BatchError
from batch_emulator.operations import pools, usage_metrics
from batch_emulator.records import load_pool, pool_record
from batch_emulator.wire import Request

TYPICAL = """
// As many nodes as there is work for, and one while nothing is known.
enough = $PendingTasks.GetSamplePercent(3 * TimeInterval_Minute) >= 70;
tasks = enough ? avg($PendingTasks.GetSample(3 * TimeInterval_Minute)) : 1;
wanted = min(5, round(tasks / $TaskSlotsPerNode + 0.49));
$TargetDedicatedNodes = 0;
$TargetLowPriorityNodes = wanted;
$NodeDeallocationOption = taskcompletion;
"""
FIXED = "$TargetDedicatedNodes = 2;"


def auto_pool(world, formula=FIXED, interval="PT5M", **more):
    image = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}
    body = {"id": "p", "vmSize": "S", "virtualMachineConfiguration": image, "taskSlotsPerNode": 2}
    scaling = {"enableAutoScale": True, "autoScaleFormula": formula, "autoScaleEvaluationInterval": interval}
    world.call(pools.create, body | scaling | more)
    return world.account.pools["p"]


def enable(world, **body):
    world.call(pools.enable_auto_scale, body, poolId="p")


def fails(code, call, *arguments, **more):
    with pytest.raises(BatchError) as caught:
        call(*arguments, **more)
    assert caught.value.code == code
    return caught.value


@dataclass
class Load:
    """Adds tasks and ends each after `seconds`; notes the pool every minute as target/nodes/pending."""

    world: object
    seconds: float
    began: dict = field(default_factory=dict)
    count: int = 0

    def add(self, number):
        for _ in range(number):
            self.count += 1
            self.world.task(f"t{self.count}")

    def half_minute(self):
        self.world.settle(30)
        now = self.world.account.now()
        for task_id in self.world.running():
            self.began.setdefault(task_id, now)
        for task_id, since in list(self.began.items()):
            if now - since >= self.seconds * 1e7 and task_id in self.world.running():
                self.world.end(task_id)
        self.world.end_stopped()

    def minutes(self, number):
        curve = []
        for _ in range(number):
            self.half_minute()
            self.half_minute()
            pool, counts = self.world.account.pools["p"], self.world.account.jobs["j"].counts
            curve.append(f"{pool.target_low_priority}/{len(pool.nodes)}/{counts.active + counts.running}")
        return " ".join(curve)


def begin_load(world, seconds):
    auto_pool(world, TYPICAL)
    world.job()
    return Load(world, seconds)


def test_a_burst_grows_the_pool_and_its_end_shrinks_it(world):
    load = begin_load(world, seconds=120)
    load.add(40)
    assert load.minutes(24) == (
        "1/1/40 1/1/40 1/1/38 1/1/38 5/1/36 5/5/36 5/5/36 5/5/26 5/5/26 5/5/16 5/5/16 5/5/16 "
        "5/5/6 5/5/6 5/5/0 5/5/0 5/5/0 5/5/0 5/5/0 0/5/0 0/0/0 0/0/0 0/0/0 0/0/0"
    )


def test_a_trickle_keeps_a_small_pool(world):
    load = begin_load(world, seconds=60)
    curve = []
    for _ in range(12):
        load.add(1)
        curve.append(load.minutes(1))
    assert set(curve[:4]) <= {"1/1/1", "1/1/2"}
    assert {entry.split("/")[0] for entry in curve} == {"1"}


def test_an_idle_pool_goes_to_nothing_as_soon_as_the_samples_say_so(world):
    load = begin_load(world, seconds=60)
    assert load.minutes(7) == "1/1/0 1/1/0 1/1/0 1/1/0 0/1/0 0/0/0 0/0/0"


def test_a_spot_drought_leaves_tasks_waiting_until_there_is_room_again(world):
    load = begin_load(world, seconds=120)
    load.add(20)
    load.minutes(6)
    pool = world.account.pools["p"]
    assert (pool.target_low_priority, len(pool.nodes)) == (5, 5)
    world.account.capacity.low_priority = 0
    for node in list(pool.nodes.values()):
        node_loss.preempt(world.account, node)
    world.end_stopped()
    assert {node.state for node in pool.nodes.values()} == {"preempted"}
    pending = world.account.jobs["j"].counts.active
    assert pending > 0
    load.minutes(6)
    assert world.account.jobs["j"].counts.active == pending
    latest = dict(zip(("preempted", "current"), _latest(pool), strict=True))
    assert latest == {"preempted": 5.0, "current": 5.0}
    world.account.capacity.low_priority = None
    load.minutes(10)
    assert world.account.jobs["j"].counts.succeeded == 20
    assert all(task.retries == 0 for task in world.account.jobs["j"].tasks.values())


def _latest(pool):
    return (
        pool.history.all("$PreemptedNodeCount")[-1][1],
        pool.history.all("$CurrentLowPriorityNodes")[-1][1],
    )


def test_a_new_pool_is_scaled_at_once_and_then_at_each_interval(world):
    pool = auto_pool(world, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1;", "PT10M")
    assert (pool.target_dedicated, pool.allocation) == (1, "resizing")
    assert pool.last_run["results"] == (
        "$TargetDedicatedNodes=1;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    )
    world.settle(599)
    assert (pool.target_dedicated, len(pool.nodes), pool.allocation) == (1, 1, "steady")
    world.settle(2)
    assert pool.target_dedicated == 2
    world.settle(3000)
    assert pool.target_dedicated == 7


def test_a_pool_shows_its_formula_and_its_last_run(world):
    auto_pool(world, "x = $PendingTasks.GetSample(TimeInterval_Hour, 50);")
    reply = world.call(pools.get, poolId="p")
    fields = json.loads(reply.body)
    assert (fields["enableAutoScale"], fields["autoScaleEvaluationInterval"]) == (True, "PT5M")
    error = fields["autoScaleRun"]["error"]
    assert error["code"] == "InsufficientSampleData"
    assert error["values"] == [
        {
            "name": "Message",
            "value": "Line 1, Col 5: Insufficient data from data set: $PendingTasks wanted 50%, received 0%",
        }
    ]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"targetDedicatedNodes": 1}, "InvalidPropertyValue"),
        ({"autoScaleEvaluationInterval": "PT4M59S"}, "InvalidPropertyValue"),
        ({"autoScaleEvaluationInterval": "PT168H1S"}, "InvalidPropertyValue"),
        ({"autoScaleFormula": "$TargetDedicatedNodes ="}, "AutoScalingFormulaSyntaxError"),
        ({"autoScaleFormula": "x=1;" + " " * 8192}, "AutoScalingFormulaTooLong"),
        ({"autoScaleFormula": None}, "MissingRequiredProperty"),
        ({"enableAutoScale": False}, "InvalidPropertyValue"),
    ],
)
def test_wrong_settings_of_a_new_pool_are_refused(world, more, code):
    fails(code, auto_pool, world, **more)
    assert world.account.pools == {}


def test_a_fixed_pool_can_be_given_a_formula_and_be_fixed_again(world):
    pool = world.pool(nodes=1)
    fails("MissingRequiredProperty", enable, world)
    enable(world, autoScaleFormula=FIXED)
    world.settle(1)
    assert (pool.interval, pool.target_dedicated, len(pool.nodes)) == ("PT15M", 2, 2)
    world.call(pools.disable_auto_scale, poolId="p")
    assert (pool.auto_scale, pool.formula, pool.target_dedicated) == (False, None, 2)
    world.settle(10_000)
    world.call(pools.resize, {"targetDedicatedNodes": 0}, poolId="p")


def test_a_formula_alone_waits_for_the_next_turn_and_an_interval_starts_anew(world):
    pool = auto_pool(world)
    world.settle(100)
    enable(world, autoScaleFormula="$TargetDedicatedNodes = 4;")
    assert pool.target_dedicated == 2
    world.settle(201)
    assert pool.target_dedicated == 4
    world.settle(60)
    enable(world, autoScaleFormula="$TargetDedicatedNodes = 1;", autoScaleEvaluationInterval="PT6M")
    assert (pool.target_dedicated, pool.interval) == (1, "PT6M")


def test_auto_scale_cannot_be_enabled_twice_within_30_seconds(world):
    world.pool(nodes=0)
    enable(world, autoScaleFormula="$TargetDedicatedNodes = 0;")
    world.settle(29)
    assert fails("TooManyEnableAutoScaleRequests", enable, world).status == 503
    world.settle(2)
    enable(world)


def test_what_auto_scale_forbids(world):
    pool = auto_pool(world)
    fails("PoolBeingResized", enable, world, autoScaleFormula=FIXED)
    world.settle(1)
    fails("OperationInvalidForCurrentState", world.call, pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    node_id = next(iter(pool.nodes))
    fails("OperationInvalidForCurrentState", world.call, pools.remove_nodes, {"nodeList": [node_id]}, poolId="p")
    fails("AutoScalingFormulaSyntaxError", enable, world, autoScaleFormula="x = nope();")


def test_evaluating_changes_nothing_and_needs_auto_scale(world):
    pool = world.pool(nodes=1)
    body = {"autoScaleFormula": "$TargetDedicatedNodes = 8; a = 1;"}
    fails("OperationInvalidForCurrentState", world.call, pools.evaluate_auto_scale, body, poolId="p")
    enable(world, autoScaleFormula=FIXED)
    run = json.loads(world.call(pools.evaluate_auto_scale, body, poolId="p").body)
    assert run["results"] == ("$TargetDedicatedNodes=8;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue;a=1")
    assert pool.target_dedicated == 2
    fails("AutoScalingFormulaSyntaxError", world.call, pools.evaluate_auto_scale, {"autoScaleFormula": "("}, poolId="p")


def test_an_evaluation_overrides_a_resize_that_is_still_going_on(world):
    world.account.capacity.dedicated = 1
    pool = auto_pool(world, "$TargetDedicatedNodes = time().minute * 0 + ($CurrentDedicatedNodes.Count() > 5 ? 1 : 3);")
    world.settle(250)
    assert (pool.allocation, pool.target_dedicated, len(pool.nodes)) == ("resizing", 3, 1)
    world.settle(60)
    assert (pool.allocation, pool.target_dedicated, len(pool.nodes)) == ("steady", 1, 1)


def test_tasks_end_before_their_nodes_leave(world):
    pool = auto_pool(
        world, "$TargetDedicatedNodes = $PendingTasks.Count() > 5 ? 0 : 1; $NodeDeallocationOption = taskcompletion;"
    )
    world.settle(1)
    world.job()
    world.task("a")
    world.settle(600)
    assert (pool.target_dedicated, len(pool.nodes), world.running()) == (0, 1, ["a"])
    world.end("a")
    assert len(pool.nodes) == 0


def test_samples_count_what_can_run(world):
    world.pool(nodes=1, slots=1)
    world.job(usesTaskDependencies=True)
    world.task("a")
    world.task("b", dependsOn={"taskIds": ["a"]})
    world.task("c")
    world.settle(60)
    values = {
        name: world.account.pools["p"].history.all(name)[-1][1]
        for name in ("$ActiveTasks", "$RunningTasks", "$CPUPercent")
    }
    assert values == {"$ActiveTasks": 1.0, "$RunningTasks": 1.0, "$CPUPercent": 1.0}


def test_auto_scale_is_journaled(world):
    pool = auto_pool(world, interval="PT7M")
    again = load_pool(pool_record(pool))
    assert (again.auto_scale, again.formula, again.interval) == (True, FIXED, "PT7M")
    assert (again.scaled_since, again.last_run) == (pool.scaled_since, pool.last_run)


def test_a_deleted_pool_is_not_scaled_any_more(world):
    auto_pool(world)
    world.settle(1)
    world.call(pools.delete, poolId="p")
    world.settle(10_000)
    assert (world.account.pools, world.account.next_sample) == ({}, None)


def usage(world, **query):
    reply = usage_metrics.list_usage(world.account, Request("GET", "/poolusagemetrics", "", {}, b"", {}, query))
    return json.loads(reply.body)["value"]


def test_usage_is_told_two_hours_late_in_half_hours_of_cores(world):
    world.pool(nodes=3, vmSize="STANDARD_D4_V3")
    assert usage(world) == []
    world.settle(4 * 3600)
    (row,) = usage(world)
    assert (row["poolId"], row["vmSize"], row["totalCoreHours"]) == ("p", "standard_d4_v3", 6.0)
    with pytest.raises(BatchError, match="two hours late"):
        usage(world, startTime="2023-11-15T03:00:00Z")
    rows = usage(world, startTime="2023-11-14T22:00:00Z")
    assert [row["startTime"][11:16] for row in rows] == ["22:00", "22:30", "23:00", "23:30"]
