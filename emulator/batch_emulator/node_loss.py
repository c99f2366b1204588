"""Nodes that are lost: preempted, not heard of, unusable; and how another machine takes their place."""

from __future__ import annotations

from batch_emulator import node_life, node_start, quota
from batch_emulator.account import Account
from batch_emulator.entities import Failure, Node
from batch_emulator.errors import BatchError
from batch_emulator.moves import move_node


def resume(account: Account, node: Node) -> None:
    """Go on with a node that was journaled."""
    account.folders.make_node(node.id)
    if node.state == "creating":
        node_start.create(account, node)
    elif node.state == "preempted":
        _recover_later(account, node)


def preempt(account: Account, node: Node) -> None:
    """Take a Spot node away; its tasks are requeued, and it comes back when there is room for it."""
    if node.dedicated or node.state in ("preempted", "leavingpool", "deallocated"):
        kind = "dedicated" if node.dedicated else "Spot"
        raise BatchError("OperationNotValidOnNode", ("State", node.state), ("Reason", f"It is a {kind} node."))
    _fail(account, node, "preempted")


def lose(account: Account, node: Node) -> None:
    """A node does not answer any more; its tasks are requeued, and after a while it is replaced."""
    if node.state in ("preempted", "leavingpool", "deallocated", "unknown"):
        raise BatchError("OperationNotValidOnNode", ("State", node.state))
    _fail(account, node, "unknown")


def make_unusable(
    account: Account, node: Node, code: str = "DiskFull", message: str = "There is not enough disk space on the node"
) -> None:
    """A node cannot run tasks until it is rebooted, reimaged or removed; its tasks are requeued."""
    if node.state in ("preempted", "leavingpool", "deallocated", "unusable"):
        raise BatchError("OperationNotValidOnNode", ("State", node.state))
    node.errors.append(Failure("", code, message))
    _fail(account, node, "unusable")


def _fail(account: Account, node: Node, state: str) -> None:
    if node.leaving is not None and node.leaving.then == "leave":
        node.leaving = None
        node_life.leave(account, node, "requeue")
        return
    node.leaving = None
    move_node(node, state, account.now())
    account.journal.pool(node.pool)
    if node.start_task_progress is not None and node.start_task_progress.ended is None:
        node.start_task_progress = None
    if state != "unusable":
        _recover_later(account, node)
    node_life.is_quiet(node)
    node_life.stop_tasks(account, node, "requeue")
    account.schedule(node.pool.id)


def _recover_later(account: Account, node: Node) -> None:
    node_start.later(account, node, account.settings.recovery_delay, lambda: _recover(account, node))


def _recover(account: Account, node: Node) -> None:
    """Another machine takes the node's place, if there is one and nothing of the old one is left."""
    if not node_life.is_quiet(node) or not quota.available(account, dedicated=node.dedicated):
        _recover_later(account, node)
        return
    node_life.wipe(account, node)
    move_node(node, "creating", account.now())
    account.journal.pool(node.pool)
    node_start.create(account, node)
