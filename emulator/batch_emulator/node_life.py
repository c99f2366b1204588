"""The life of a node: create, reboot, reimage, deallocate, loss, and leaving the pool."""

from __future__ import annotations

import secrets
from functools import partial

from batch_emulator import node_start, quota, retention, runs
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.entities import Leaving, Node, NodeAddress, Pool
from batch_emulator.errors import BatchError
from batch_emulator.moves import move_allocation, move_node

SCHEDULABLE = ("idle", "running")
_AT_WORK = (*SCHEDULABLE, "offline")
_RESTARTABLE = (*_AT_WORK, "starttaskfailed", "unusable")
_AT_ONCE = ("requeue", "terminate")
"""What is done with running tasks when nobody waits for them."""
RETENTION_CHECK_SECONDS = 60.0

STATE_ERRORS = {
    "creating": "NodeBeingCreated",
    "starting": "NodeBeingStarted",
    "waitingforstarttask": "NodeBeingStarted",
    "rebooting": "NodeBeingRebooted",
    "reimaging": "NodeBeingReimaged",
    "unusable": "NodeStateUnusable",
}


def require_state(node: Node, states: tuple[str, ...]) -> None:
    """Refuse what a node cannot do in its state, or because it leaves."""
    if node.state not in states or (node.leaving is not None and node.leaving.then == "leave"):
        raise BatchError(STATE_ERRORS.get(node.state, "OperationNotValidOnNode"), ("State", node.state))


def create(account: Account, pool: Pool, *, dedicated: bool) -> Node:
    """Add a node to a pool; it starts by itself."""
    now = account.now()
    node_id = f"tvmps_{secrets.token_hex(32)}_{'d' if dedicated else 'p'}"
    number = account.next_node + 3
    account.next_node += 1
    node = Node(
        pool=pool,
        id=node_id,
        address=NodeAddress(pool.id, node_id),
        ip=f"10.{number // 65_536 % 256}.{number // 256 % 256}.{number % 256}",
        dedicated=dedicated,
        allocated=now,
        booted=now,
        state_since=now,
        free_slots=pool.slots_per_node,
    )
    pool.nodes[node_id] = node
    node_start.create(account, node)
    return node


def leave(account: Account, node: Node, option: str, then: str = "leave") -> None:
    """Take a node out of service as `option` says of its tasks; `then` leave, reboot, reimage or deallocate."""
    if node.leaving is not None and node.leaving.then == "leave":
        return
    node.leaving = Leaving(option, then)
    if option in _AT_ONCE:
        if then == "leave":
            move_node(node, "leavingpool", account.now())
        stop_tasks(account, node, option)
    finish_leaving(account, node)


def stay(account: Account, node: Node) -> None:
    """A node that only waits for its tasks to end before it leaves need not leave any more."""
    if node.leaving is not None and node.leaving.then == "leave" and node.state != "leavingpool":
        node.leaving = None
        account.schedule(node.pool.id)


def stop_tasks(account: Account, node: Node, ending: str) -> None:
    """End all tasks of a node in one way."""
    for task in list(node.running):
        run = account.runs.get(task)
        if run is not None:
            runs.stop(account, run, ending)


def is_quiet(node: Node) -> bool:
    """Let everything but tasks end that runs on a node; True when nothing runs there."""
    quiet = node_start.end_start_task(node)
    for command in list(node.side_commands):
        command.stop()
    return quiet and not node.side_commands and not node.running


def finish_leaving(account: Account, node: Node) -> None:
    """If a node is to leave or restart and nothing runs on it any more, let it."""
    leaving = node.leaving
    if leaving is None or node.running or not node_start.is_there(node) or _is_retained(account, node, leaving):
        return
    if not is_quiet(node) or node.leaving is not leaving or not node_start.is_there(node):
        return
    if leaving.then == "leave":
        _remove(account, node)
        return
    node.leaving = None
    if leaving.then == "deallocate":
        move_node(node, "deallocating", account.now())
        node_start.later(account, node, account.settings.node_delay, lambda: _deallocated(account, node))
    else:
        move_node(node, "rebooting" if leaving.then == "reboot" else "reimaging", account.now())
        if leaving.then == "reimage":
            wipe(account, node)
        node_start.later(account, node, account.settings.node_delay, lambda: node_start.boot(account, node))
    account.journal.pool(node.pool)


def wipe(account: Account, node: Node) -> None:
    """Delete all that is on a node, and its users."""
    account.folders.discard(account.folders.node(node.id))
    account.folders.make_node(node.id)
    node.users.clear()
    node.wiped = account.now()


def _deallocated(account: Account, node: Node) -> None:
    move_node(node, "deallocated", account.now())
    wipe(account, node)
    account.journal.pool(node.pool)


def _is_retained(account: Account, node: Node, leaving: Leaving) -> bool:
    """Whether files of tasks must stay on the node; if so, look again later."""
    if leaving.option != "retaineddata":
        return False
    if leaving.watched:
        return True
    rest = retention.retained_until(account, node) - account.now()
    if rest <= 0:
        return False
    leaving.watched = True
    seconds = min(rest / TICKS_PER_SECOND, RETENTION_CHECK_SECONDS)
    account.clock.call_later(seconds, partial(_look_at_retention, account, node, leaving))
    return True


def _look_at_retention(account: Account, node: Node, leaving: Leaving) -> None:
    leaving.watched = False
    if node.leaving is leaving:
        finish_leaving(account, node)


def _remove(account: Account, node: Node) -> None:
    if node.state != "leavingpool":
        move_node(node, "leavingpool", account.now())
    del node.pool.nodes[node.id]
    if node.dedicated:
        node.pool.core_seconds += quota.cores(node.pool.vm_size) * (account.now() - node.allocated) / TICKS_PER_SECOND
    account.folders.discard(account.folders.node(node.id))
    account.journal.node_gone(node)
    account.journal.pool(node.pool)
    account.schedule(node.pool.id)
    settle_pool(account, node.pool)


def settle_pool(account: Account, pool: Pool) -> None:
    """A pool that has the nodes it should have, and none on its way out, is steady; a deleted one is gone."""
    if pool.state == "deleting":
        if not pool.nodes and account.pools.pop(pool.id.lower(), None) is not None:
            account.journal.pool_gone(pool)
        return
    if pool.allocation == "steady" or any(
        node.leaving and node.leaving.then == "leave" for node in pool.nodes.values()
    ):
        return
    if pool.allocation == "stopping" or _is_complete(pool):
        if pool.resize_timer is not None:
            pool.resize_timer.cancel()
        move_allocation(pool, "steady", account.now())
        account.journal.pool(pool)


def _is_complete(pool: Pool) -> bool:
    """Whether a pool has the nodes that it should have, but for those that quotas refuse."""
    dedicated = quota.count(pool, dedicated=True)
    return dedicated == pool.target_dedicated - pool.refused.get(True, 0) and len(
        pool.nodes
    ) - dedicated == pool.target_low_priority - pool.refused.get(False, 0)


def slots_freed(account: Account, node: Node) -> None:
    """A task has given its slots back: the node may go, or take another task."""
    if node.total_run:
        account.journal.node_totals(node)
    if node.leaving is not None:
        finish_leaving(account, node)
    node_start.go_offline(account, node)
    account.schedule(node.pool.id)


def reboot(account: Account, node: Node, option: str) -> None:
    """Restart a node; its files stay, its start task runs again."""
    require_state(node, _RESTARTABLE)
    leave(account, node, option, then="reboot")


def reimage(account: Account, node: Node, option: str) -> None:
    """Restart a node without its files."""
    require_state(node, _RESTARTABLE)
    leave(account, node, option, then="reimage")


def deallocate(account: Account, node: Node, option: str) -> None:
    """Give a node's machine back; the node stays in its pool and can be started again."""
    require_state(node, _AT_WORK)
    leave(account, node, option, then="deallocate")


def start(account: Account, node: Node) -> None:
    """Start a node that was deallocated."""
    require_state(node, ("deallocated",))
    node_start.boot(account, node)


def disable_scheduling(account: Account, node: Node, option: str) -> None:
    """Give a node no more tasks; what runs there is requeued, terminated or left to end."""
    if node.scheduling == "disabled":
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    require_state(node, _AT_WORK)
    node.scheduling = "disabled"
    if option in _AT_ONCE:
        stop_tasks(account, node, option)
    node_start.go_offline(account, node)
    account.journal.pool(node.pool)


def enable_scheduling(account: Account, node: Node) -> None:
    """Let a node take tasks again."""
    if node.scheduling == "enabled":
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    node.scheduling = "enabled"
    if node.state == "offline":
        move_node(node, "idle", account.now())
    account.journal.pool(node.pool)
    account.schedule(node.pool.id)
