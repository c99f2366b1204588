"""Resizes that meet quotas, missing capacity, their timeout and the user's stop."""

import dataclasses

import pytest

from batch_emulator.errors import BatchError
from batch_emulator.operations import pools
from batch_emulator.quota import cores


def limit(world, **more):
    world.account.settings = dataclasses.replace(world.account.settings, **more)


def resize(world, **body):
    world.call(pools.resize, body, poolId="p")


def errors(pool):
    return [error.code for error in pool.resize_errors]


def test_a_resize_takes_its_time(world):
    limit(world, allocation_delay=60.0)
    pool = world.pool(nodes=2)
    assert (pool.allocation, len(pool.nodes)) == ("resizing", 0)
    world.settle(60)
    assert (pool.allocation, len(pool.nodes)) == ("steady", 2)


def test_quotas_count_the_cores_of_all_pools(world):
    limit(world, dedicated_core_quota=8, low_priority_core_quota=2)
    world.pool("other", nodes=1, vmSize="STANDARD_D4_V3")
    pool = world.pool(nodes=3, vmSize="STANDARD_D2_V3", targetLowPriorityNodes=1)
    assert (pool.allocation, len(pool.nodes), pool.target_dedicated) == ("steady", 3, 3)
    assert errors(pool) == ["AccountCoreQuotaReached"]
    assert pool.resize_errors[0].details == (("NodesNotAllocated", "1"),)
    resize(world, targetDedicatedNodes=0, targetLowPriorityNodes=2)
    world.settle(1)
    assert errors(pool) == ["AccountLowPriorityCoreQuotaReached"]
    resize(world, targetDedicatedNodes=0, targetLowPriorityNodes=0)
    world.settle(1)
    assert (errors(pool), pool.nodes) == ([], {})


def test_what_is_not_to_be_had_within_the_timeout_is_given_up(world):
    world.account.capacity.low_priority = 1
    pool = world.pool(nodes=1, targetLowPriorityNodes=3, resizeTimeout="PT5M")
    world.settle(290)
    assert (pool.allocation, len(pool.nodes), errors(pool)) == ("resizing", 2, [])
    world.settle(20)
    assert (pool.allocation, len(pool.nodes), errors(pool)) == ("steady", 2, ["AllocationTimedOut"])
    assert (pool.target_low_priority, pool.resize_errors[0].details) == (3, (("NodesNotAllocated", "2"),))
    world.account.capacity.low_priority = None
    resize(world, targetLowPriorityNodes=3)
    world.settle(1)
    assert (len(pool.nodes), errors(pool)) == (4, [])


def test_nodes_come_as_soon_as_they_are_to_be_had(world):
    world.account.capacity.dedicated = 0
    pool = world.pool(nodes=2)
    world.settle(100)
    world.account.capacity.dedicated = 5
    world.settle(5)
    assert (pool.allocation, len(pool.nodes)) == ("steady", 2)


def test_a_task_that_outlives_the_timeout_keeps_its_node(world):
    pool = world.pool(nodes=1)
    world.job()
    world.task("a")
    world.settle()
    resize(world, targetDedicatedNodes=0, nodeDeallocationOption="taskcompletion", resizeTimeout="PT5M")
    world.settle(301)
    assert (pool.allocation, errors(pool), len(pool.nodes)) == ("steady", ["RemoveNodesFailed"], 1)
    world.task("b")
    world.end("a")
    assert world.running() == ["b"]


def test_a_stopped_resize_says_so_and_lets_waiting_nodes_stay(world):
    pool = world.pool(nodes=2)
    world.job()
    world.task("a")
    world.settle()
    resize(world, targetDedicatedNodes=0, nodeDeallocationOption="taskcompletion")
    world.settle(1)
    assert len(pool.nodes) == 1
    world.call(pools.stop_resize, poolId="p")
    assert (pool.allocation, pool.target_dedicated, errors(pool)) == ("steady", 1, ["ResizeStopped"])
    world.end("a")
    assert len(pool.nodes) == 1


def test_retained_files_keep_a_node(world):
    pool = world.pool(nodes=1)
    world.job()
    world.task("a", constraints={"retentionTime": "PT10M"})
    world.settle()
    resize(world, targetDedicatedNodes=0, nodeDeallocationOption="retaineddata")
    world.settle(60)
    world.end("a")
    world.settle(540)
    assert len(pool.nodes) == 1
    world.settle(120)
    assert len(pool.nodes) == 0


def test_removing_a_node_from_a_pool_that_quotas_keep_small_is_over_at_once(world):
    limit(world, dedicated_core_quota=2)
    pool = world.pool(nodes=4)
    world.call(pools.remove_nodes, {"nodeList": [next(iter(pool.nodes))]}, poolId="p")
    assert (pool.allocation, pool.target_dedicated, len(pool.nodes)) == ("steady", 3, 1)


@pytest.mark.parametrize("timeout", ["PT4M59S", "PT168H1S"])
def test_resize_timeouts_have_bounds(world, timeout):
    with pytest.raises(BatchError, match="5 minutes to 168 hours"):
        world.pool(resizeTimeout=timeout)


SIZES = {
    "STANDARD_D2_V3": 2,
    "standard_d16s_v5": 16,
    "Standard_D3_v2": 4,
    "standard_ds14_v2": 16,
    "standard_a1": 1,
    "standard_f72s_v2": 72,
    "standard_hb120rs_v3": 120,
    "S": 1,
}


@pytest.mark.parametrize(("size", "expected"), SIZES.items())
def test_cores_are_read_from_the_size(size, expected):
    assert cores(size) == expected


def test_packages_that_do_not_exist_are_refused(world):
    with pytest.raises(BatchError, match="InvalidApplicationPackageReferences"):
        world.pool(applicationPackageReferences=[{"applicationId": "nope"}])
