"""Nodes: scheduling, restart, deallocation, loss, users, and what they leave to tasks."""

import json

import pytest

from batch_emulator import node_loss
from batch_emulator.errors import BatchError
from batch_emulator.operations import node_access, node_users, nodes, pools
from batch_emulator.records import load_pool, pool_record


def only(pool):
    (node,) = pool.nodes.values()
    return node


def busy(world, **more):
    """A pool of one node with the task a on it."""
    pool = world.pool(**more)
    world.job()
    task = world.task("a")
    world.settle()
    return only(pool), task


def call(world, operation, node, body=None, **path):
    return world.call(operation, {} if body is None else body, poolId="p", nodeId=node.id, **path)


def fails(code, *arguments, **more):
    with pytest.raises(BatchError) as caught:
        call(*arguments, **more)
    assert caught.value.code == code
    return caught.value


def disable(world, node, option):
    call(world, nodes.disable_scheduling, node, {"nodeDisableSchedulingOption": option})
    world.end_stopped()


@pytest.mark.parametrize(
    ("option", "task_state", "requeues", "node_state"),
    [
        ("requeue", "active", 1, "offline"),
        ("terminate", "completed", 0, "offline"),
        ("taskcompletion", "running", 0, "running"),
    ],
)
def test_a_node_without_scheduling_goes_offline_when_its_tasks_are_gone(
    world, option, task_state, requeues, node_state
):
    node, task = busy(world)
    disable(world, node, option)
    assert (task.state, task.requeues, node.state) == (task_state, requeues, node_state)
    fails("NodeAlreadyInTargetSchedulingState", world, nodes.disable_scheduling, node)
    if option == "taskcompletion":
        world.end("a")
        assert node.state == "offline"
    world.task("b")
    world.settle(60)
    assert world.running() == []
    call(world, nodes.enable_scheduling, node)
    world.settle()
    assert "b" in world.launcher.started or option == "requeue"
    assert node.state == "running"


RESTARTS = {
    "reboot": (nodes.reboot, "nodeRebootOption", ["rebooting", "starting", "idle"]),
    "reimage": (nodes.reimage, "nodeReimageOption", ["reimaging", "starting", "idle"]),
    "deallocate": (nodes.deallocate, "nodeDeallocateOption", ["deallocating", "deallocated", "deallocated"]),
}


@pytest.mark.parametrize("kind", RESTARTS)
@pytest.mark.parametrize("option", ["requeue", "terminate", "taskcompletion", "retaineddata"])
def test_a_node_restarts_as_its_option_says_of_its_tasks(world, kind, option):
    operation, name, states = RESTARTS[kind]
    node, task = busy(world)
    world.task("next")
    call(world, operation, node, {name: option})
    world.end_stopped()
    if option in ("taskcompletion", "retaineddata"):
        assert (node.state, world.running()) == ("running", ["a"])
        world.end("a")
    if option == "retaineddata":
        world.settle(7 * 86_400 - 600)
        assert (node.state, world.running()) == ("idle", [])
        world.settle(660)
        assert node.state != "idle" or node.booted > node.allocated + 10**12
    else:
        seen = [node.state]
        for _ in range(2):
            world.settle(0.1)
            seen.append("idle" if node.state == "running" else node.state)
        assert seen == states
    expected = {"requeue": 1, "terminate": 0, "taskcompletion": 0, "retaineddata": 0}
    assert task.requeues == expected[option]


def test_a_deallocated_node_stays_in_the_pool_until_it_is_started(world):
    node, _ = busy(world)
    fails("OperationNotValidOnNode", world, nodes.start, node)
    call(world, nodes.deallocate, node)
    world.end_stopped()
    world.settle(10)
    fails("OperationNotValidOnNode", world, nodes.reboot, node)
    assert (node.state, world.running(), len(node.pool.nodes)) == ("deallocated", [], 1)
    call(world, nodes.start, node)
    world.settle(1)
    assert (node.state, world.running()) == ("running", ["a"])


def test_reimaging_takes_the_files_away_and_rebooting_does_not(world):
    from pathlib import Path

    node = only(world.pool())
    mark = Path(world.account.folders.node(node.id), "shared", "mark")
    mark.write_text("x")
    call(world, nodes.reboot, node)
    world.settle(1)
    assert mark.exists()
    call(world, nodes.reimage, node)
    world.settle(1)
    assert (node.state, mark.exists(), mark.parent.exists()) == ("idle", False, True)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(0.15, "NodeBeingCreated"), (0.25, "NodeBeingStarted")],
)
def test_a_node_that_is_not_ready_can_do_nothing_yet(world, seconds, code):
    pool = world.pool(nodes=0)
    world.call(pools.resize, {"targetDedicatedNodes": 1}, poolId="p")
    world.settle(seconds)
    fails(code, world, nodes.reboot, only(pool))


def test_a_spot_node_is_preempted_and_comes_back_under_its_id(world):
    pool = world.pool(nodes=0, targetLowPriorityNodes=1, startTask={"commandLine": "setup"})
    node = only(pool)
    world.end("")
    world.job()
    task = world.task("a")
    world.settle()
    node_loss.preempt(world.account, node)
    world.end_stopped()
    assert (node.state, task.state, task.requeues, task.retries) == ("preempted", "active", 1, 0)
    with pytest.raises(BatchError, match="OperationNotValidOnNode"):
        node_loss.preempt(world.account, node)
    world.settle(10)
    assert (node.state, only(pool) is node, world.running()) == ("waitingforstarttask", True, [""])
    world.end("")
    assert world.running() == ["a"]


def test_a_dedicated_node_is_not_preempted(world):
    with pytest.raises(BatchError, match="dedicated node"):
        node_loss.preempt(world.account, only(world.pool()))


def test_preempted_nodes_leave_first_when_a_pool_shrinks(world):
    pool = world.pool(nodes=0, targetLowPriorityNodes=3)
    world.account.capacity.low_priority = 0
    gone = list(pool.nodes.values())[1]
    node_loss.preempt(world.account, gone)
    world.call(pools.resize, {"targetLowPriorityNodes": 2}, poolId="p")
    world.settle(1)
    assert gone.id not in pool.nodes
    assert [node.state for node in pool.nodes.values()] == ["idle", "idle"]


def test_a_lost_node_gives_its_tasks_back_and_is_replaced(world):
    node, task = busy(world)
    node_loss.lose(world.account, node)
    assert node.state == "unknown"
    world.settle(10)
    assert node.state == "unknown", "its processes have not ended yet"
    world.end_stopped()
    assert (task.state, task.requeues, task.retries) == ("active", 1, 0)
    world.settle(10)
    assert (node.state, world.running()) == ("running", ["a"])


def test_an_unusable_node_says_why_until_it_is_rebooted(world):
    node, task = busy(world)
    node_loss.make_unusable(world.account, node)
    world.end_stopped()
    world.settle(100)
    assert (node.state, node.errors[0].code, task.state) == ("unusable", "DiskFull", "active")
    fails("NodeStateUnusable", world, nodes.deallocate, node)
    call(world, nodes.reboot, node)
    world.settle(1)
    assert (node.state, node.errors, world.running()) == ("running", [], ["a"])


def test_a_node_that_is_lost_while_it_leaves_just_leaves(world):
    node, task = busy(world)
    world.call(pools.remove_nodes, {"nodeList": [node.id], "nodeDeallocationOption": "taskcompletion"}, poolId="p")
    node_loss.lose(world.account, node)
    world.end_stopped()
    assert (node.pool.nodes, node.pool.allocation, task.state) == ({}, "steady", "active")


def test_a_start_task_that_is_cut_off_is_not_tried_again_on_the_lost_node(world):
    pool = world.pool(startTask={"commandLine": "setup", "maxTaskRetryCount": -1})
    node_loss.make_unusable(world.account, only(pool))
    world.end_stopped()
    world.settle(60)
    assert (world.running(), only(pool).state) == ([], "unusable")


def user(world, node, **body):
    return call(world, node_users.create, node, {"name": "me"} | body)


def test_users_of_a_node_are_recorded_with_their_rules(world):
    node = only(world.pool())
    user(world, node, isAdmin=True, password="secret")
    fails("NodeUserExists", world, node_users.create, node, {"name": "me"})
    fails("NodeUserNotFound", world, node_users.delete, node, userName="you")
    fails("InvalidPropertyValue", world, node_users.create, node, {"name": "../x"})
    fails("InvalidPropertyValue", world, node_users.create, node, {"name": "x", "expiryTime": "2020-01-01T00:00:00Z"})
    assert "secret" not in pool_record(node.pool)
    assert load_pool(pool_record(node.pool)).nodes[node.id].users == node.users
    world.settle(86_300)
    call(world, node_users.replace, node, {}, userName="me")
    world.settle(86_300)
    assert node.users["me"].is_admin
    call(world, node_users.delete, node, userName="me")
    assert node.users == {}


def test_users_expire_after_a_day_and_need_a_node_that_runs(world):
    node = only(world.pool())
    user(world, node)
    world.settle(86_401)
    fails("NodeUserNotFound", world, node_users.replace, node, {}, userName="me")
    call(world, nodes.deallocate, node)
    world.settle(1)
    fails("OperationNotValidOnNode", world, node_users.create, node, {"name": "me"})


def test_extensions_of_the_pool_are_told_without_their_secrets(world):
    machine = {
        "imageReference": {"offer": "o"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        "extensions": [{"name": "Ext", "publisher": "P", "type": "T", "protectedSettings": {"key": "hidden"}}],
    }
    node = only(world.pool(virtualMachineConfiguration=machine))
    found = json.loads(call(world, node_access.get_extension, node, extensionName="ext").body)
    assert (found["provisioningState"], found["vmExtension"]["name"]) == ("Succeeded", "Ext")
    assert "hidden" not in json.dumps(found)
    fails("ResourceNotFound", world, node_access.get_extension, node, extensionName="other")


def test_there_is_no_machine_to_log_in_to_and_there_are_no_logs(world):
    node = only(world.pool())
    error = fails("OperationNotValidOnNode", world, node_access.remote_login_settings, node)
    assert "is a directory" in str(error)
    body = {"containerUrl": "https://x.blob.core.windows.net/logs?sig=s", "startTime": "2026-01-01T00:00:00Z"}
    reply = json.loads(call(world, node_access.upload_logs, node, body).body)
    assert reply["numberOfFilesUploaded"] == 0
    assert reply["virtualDirectoryName"].startswith(f"p/{node.id}/")
    fails("InvalidPropertyValue", world, node_access.upload_logs, node, body | {"containerUrl": "ftp://x"})


def test_nodes_come_back_from_the_journal_as_they_were(world):
    pool = world.pool(nodes=3, startTask={"commandLine": "setup"})
    first, second, third = pool.nodes.values()
    world.end("", 0)
    world.end("", 1)
    node_loss.make_unusable(world.account, second)
    again = load_pool(pool_record(pool)).nodes
    assert again[first.id].start_task_progress.exit_code == 0
    states = [again[node.id].state for node in (first, second, third)]
    assert states == ["idle", "unusable", "creating"]
    assert again[second.id].errors[0].code == "DiskFull"


def test_slots_are_four_for_each_core_and_256_at_most(world):
    with pytest.raises(BatchError, match="taskSlotsPerNode"):
        world.pool(nodes=0, slots=9, vmSize="STANDARD_D2_V3")
    assert world.pool(nodes=0, slots=8, vmSize="STANDARD_D2_V3").slots_per_node == 8
    with pytest.raises(BatchError, match="1 to 256"):
        world.pool("q", nodes=0, slots=257, vmSize="STANDARD_D96S_V5")
