import pytest

from batch_emulator.errors import BatchError
from batch_emulator.operations import nodes, pools


def test_a_node_goes_through_its_states_in_time(world):
    pool = world.pool(nodes=0)
    world.call(pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    assert (pool.allocation, len(pool.nodes)) == ("resizing", 0)
    seen = []
    for _ in range(4):
        world.settle(0.1)
        seen += [node.state for node in pool.nodes.values()]
    assert seen == ["creating", "starting", "idle", "idle"]
    assert pool.allocation == "steady"


def test_tasks_wait_for_the_start_task(world):
    pool = world.pool(startTask={"commandLine": "setup", "waitForSuccess": True})
    world.job()
    world.task("a")
    world.settle(1)
    (node,) = pool.nodes.values()
    assert (node.state, world.running()) == ("waitingforstarttask", [""])
    world.end("")
    assert (node.start_task_progress.exit_code, world.running()) == (0, ["a"])


def test_a_start_task_that_fails_keeps_its_node_from_working(world):
    pool = world.pool(startTask={"commandLine": "setup", "maxTaskRetryCount": 1})
    (node,) = pool.nodes.values()
    world.end("", 4)
    world.settle(10)
    assert (node.state, node.start_task_progress.retries) == ("waitingforstarttask", 1)
    world.end("", 4)
    assert (node.state, node.start_task_progress.failure.code) == ("starttaskfailed", "FailureExitCode")
    world.job()
    world.task("a")
    world.settle(10)
    assert world.running() == []


def test_a_start_task_that_nobody_waits_for_does_not_hold_tasks(world):
    world.pool(startTask={"commandLine": "setup", "waitForSuccess": False})
    world.job()
    world.task("a")
    world.settle()
    assert world.running() == ["", "a"]


def test_a_reboot_runs_the_start_task_again_and_requeues_tasks(world):
    pool = world.pool(startTask={"commandLine": "setup"})
    (node,) = pool.nodes.values()
    world.end("")
    world.job()
    task = world.task("a")
    world.settle()
    world.call(nodes.reboot, {}, poolId="p", nodeId=node.id)
    world.end_stopped()
    assert (node.state, task.state, task.requeues) == ("rebooting", "active", 1)
    world.settle(1)
    assert (node.state, world.running()) == ("waitingforstarttask", [""])
    world.end("")
    assert world.running() == ["a"]


def test_idle_nodes_leave_first_when_a_pool_shrinks(world):
    pool = world.pool(nodes=3)
    world.job()
    world.task("a")
    world.settle()
    world.call(pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    world.settle(1)
    (node,) = pool.nodes.values()
    assert (node.state, pool.allocation) == ("running", "steady")


def test_low_priority_nodes_are_counted_apart(world):
    pool = world.pool(nodes=1, targetLowPriorityNodes=2)
    assert sorted(node.dedicated for node in pool.nodes.values()) == [False, False, True]


def test_a_pool_is_not_resized_twice_at_once(world):
    world.pool()
    world.call(pools.resize, {"targetDedicatedNodes": 2}, poolId="p")
    with pytest.raises(BatchError, match="PoolBeingResized"):
        world.call(pools.resize, {"targetDedicatedNodes": 3}, poolId="p")


def test_a_resize_can_be_stopped_where_it_stands(world):
    pool = world.pool(nodes=1)
    world.call(pools.resize, {"targetDedicatedNodes": 5}, poolId="p")
    world.call(pools.stop_resize, poolId="p")
    world.settle(10)
    assert (pool.allocation, pool.target_dedicated, len(pool.nodes)) == ("steady", 1, 1)


def test_a_deleted_pool_gives_its_tasks_back_and_goes_when_its_nodes_are_gone(world):
    world.pool()
    world.job()
    task = world.task("a")
    world.settle()
    world.call(pools.delete, poolId="p")
    with pytest.raises(BatchError, match="PoolBeingDeleted"):
        world.call(pools.delete, poolId="p")
    world.end_stopped()
    assert (task.state, task.requeues) == ("active", 1)
    with pytest.raises(BatchError, match="PoolNotFound"):
        world.call(pools.get, poolId="p")


def test_most_of_a_pool_can_change_only_while_it_is_empty(world):
    pool = world.pool(nodes=1)
    with pytest.raises(BatchError, match="no nodes"):
        world.call(pools.patch, {"taskSlotsPerNode": 4}, poolId="p")
    world.call(pools.patch, {"metadata": [{"name": "a", "value": "b"}]}, poolId="p")
    world.call(pools.resize, {"targetDedicatedNodes": 0}, poolId="p")
    world.settle(1)
    world.call(pools.patch, {"taskSlotsPerNode": 4}, poolId="p")
    assert pool.slots_per_node == 4


def test_a_node_that_is_not_there_cannot_be_removed(world):
    world.pool()
    with pytest.raises(BatchError, match="nodeList"):
        world.call(pools.remove_nodes, {"nodeList": ["nope"]}, poolId="p")


def test_passwords_are_not_given_back(world):
    pool = world.pool(nodes=0, userAccounts=[{"name": "u", "password": "secret"}])
    assert pool.spec["userAccounts"] == [{"name": "u"}]
