"""The life of a pool: resize, stop, remove nodes, delete."""

from __future__ import annotations

from batch_emulator import node_life
from batch_emulator.account import Account
from batch_emulator.entities import Node, Pool, move_allocation, move_pool
from batch_emulator.errors import BatchError, property_error


def begin(account: Account, pool: Pool) -> None:
    """Allocate the nodes of a new pool."""
    if pool.target_dedicated or pool.target_low_priority:
        _allocate(account, pool, "requeue")


def resize(account: Account, pool: Pool, dedicated: int, low_priority: int, option: str) -> None:
    """Change how many nodes a pool should have; `option` is for the tasks of those that leave."""
    require_steady(pool)
    pool.target_dedicated, pool.target_low_priority = dedicated, low_priority
    _allocate(account, pool, option)


def require_steady(pool: Pool) -> None:
    """Refuse what a pool cannot do while it is resized or deleted."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    if pool.allocation != "steady":
        raise BatchError("PoolBeingResized")


def _allocate(account: Account, pool: Pool, option: str) -> None:
    now = account.now()
    move_allocation(pool, "resizing", now)
    pool.resize_errors.clear()
    pool.modified = now
    account.journal.pool(pool)
    account.clock.call_later(account.settings.node_delay, lambda: _apply(account, pool, option))


def _apply(account: Account, pool: Pool, option: str) -> None:
    if pool.state != "active" or pool.allocation != "resizing":
        return
    for dedicated, target in ((True, pool.target_dedicated), (False, pool.target_low_priority)):
        staying = [
            node
            for node in pool.nodes.values()
            if node.dedicated == dedicated and not (node.leaving and node.leaving.then == "leave")
        ]
        for _ in range(target - len(staying)):
            node_life.create(account, pool, dedicated=dedicated)
        surplus = sorted(staying, key=lambda node: (len(node.running), node.state == "idle"))
        for node in surplus[: max(0, len(staying) - target)]:
            node_life.leave(account, node, option)
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def stop_resize(account: Account, pool: Pool) -> None:
    """Stop a resize where it stands; the nodes that are there become the target."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    if pool.allocation != "resizing":
        raise BatchError("OperationInvalidForCurrentState", ("AllocationState", pool.allocation))
    move_allocation(pool, "stopping", account.now())
    pool.target_dedicated = sum(node.dedicated for node in pool.nodes.values())
    pool.target_low_priority = len(pool.nodes) - pool.target_dedicated
    pool.modified = account.now()
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def remove_nodes(account: Account, pool: Pool, node_ids: list[str], option: str) -> None:
    """Take the named nodes out of a pool, and its targets down with them."""
    require_steady(pool)
    nodes: list[Node] = []
    for node_id in dict.fromkeys(node_ids):
        if node_id not in pool.nodes:
            raise property_error("nodeList", node_id, "The node is not in the pool.")
        nodes.append(pool.nodes[node_id])
    move_allocation(pool, "resizing", account.now())
    pool.modified = account.now()
    for node in nodes:
        if node.dedicated:
            pool.target_dedicated -= 1
        else:
            pool.target_low_priority -= 1
    for node in nodes:
        node_life.leave(account, node, option)
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def delete(account: Account, pool: Pool) -> None:
    """Delete a pool; tasks that run on it are requeued and wait for a pool of that id."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    move_pool(pool, "deleting", account.now())
    account.journal.pool(pool)
    for node in list(pool.nodes.values()):
        node_life.leave(account, node, "requeue")
    node_life.settle_pool(account, pool)
