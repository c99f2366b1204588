"""The life of a pool: resize, stop, remove nodes, delete."""

from __future__ import annotations

from batch_emulator import node_life, quota
from batch_emulator.account import Account
from batch_emulator.durations import duration_seconds
from batch_emulator.entities import Failure, Node, Pool
from batch_emulator.errors import BatchError, property_error
from batch_emulator.moves import move_allocation, move_pool

RETRY_SECONDS = 1.0
"""How soon to look again for nodes that were not to be had."""
KINDS = (True, False)
_NAMES = {True: "dedicated", False: "low-priority"}


def begin(account: Account, pool: Pool) -> None:
    """Allocate the nodes of a new pool."""
    if pool.target_dedicated or pool.target_low_priority:
        _allocate(account, pool, "requeue")


def resize(account: Account, pool: Pool, dedicated: int, low_priority: int, option: str) -> None:
    """Change how many nodes a pool should have; `option` is for the tasks of those that leave."""
    require_steady(pool)
    pool.target_dedicated, pool.target_low_priority = dedicated, low_priority
    _allocate(account, pool, option)


def retarget(account: Account, pool: Pool, dedicated: int, low_priority: int, option: str) -> None:
    """As auto scale resizes: also in the middle of another resize, and not at all if nothing is to be done."""
    new = (dedicated, low_priority) != (pool.target_dedicated, pool.target_low_priority)
    missing = pool.allocation == "steady" and any(_wanted(pool, dedicated=kind) for kind in KINDS)
    if pool.state == "active" and pool.allocation != "stopping" and (new or missing):
        for node in pool.nodes.values():
            node_life.stay(account, node)
        pool.target_dedicated, pool.target_low_priority = dedicated, low_priority
        _allocate(account, pool, option)


def require_steady(pool: Pool) -> None:
    """Refuse what a pool cannot do while it is resized or deleted."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    if pool.allocation != "steady":
        raise BatchError("PoolBeingResized")


def _begin_resize(account: Account, pool: Pool) -> None:
    now = account.now()
    if pool.allocation != "resizing":
        move_allocation(pool, "resizing", now)
    pool.resize_errors.clear()
    pool.refused.clear()
    pool.modified = pool.resize_since = now
    if pool.resize_timer is not None:
        pool.resize_timer.cancel()
    limit = duration_seconds(pool.resize_timeout)
    pool.resize_timer = account.clock.call_later(limit, lambda: _time_out(account, pool))
    account.journal.pool(pool)


def _allocate(account: Account, pool: Pool, option: str) -> None:
    _begin_resize(account, pool)
    settings = account.settings
    delay = settings.node_delay if settings.allocation_delay is None else settings.allocation_delay
    _apply_later(account, pool, option, delay)


def _apply_later(account: Account, pool: Pool, option: str, delay: float) -> None:
    since = pool.resize_since

    def apply() -> None:
        if pool.state == "active" and pool.allocation == "resizing" and pool.resize_since == since:
            _apply(account, pool, option)

    account.clock.call_later(delay, apply)


def _staying(pool: Pool, *, dedicated: bool) -> list[Node]:
    return [
        node
        for node in pool.nodes.values()
        if node.dedicated == dedicated and not (node.leaving and node.leaving.then == "leave")
    ]


def _target(pool: Pool, *, dedicated: bool) -> int:
    return pool.target_dedicated if dedicated else pool.target_low_priority


def _wanted(pool: Pool, *, dedicated: bool) -> int:
    """How many nodes a pool has too few; negative: too many."""
    return _target(pool, dedicated=dedicated) - len(_staying(pool, dedicated=dedicated))


def _apply(account: Account, pool: Pool, option: str) -> None:
    pool.resize_errors.clear()
    missing = [_grow(account, pool, dedicated=kind) for kind in KINDS]
    for kind in KINDS:
        _shrink(account, pool, option, dedicated=kind)
    if any(missing):
        _apply_later(account, pool, option, max(RETRY_SECONDS, account.settings.node_delay))
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def _grow(account: Account, pool: Pool, *, dedicated: bool) -> int:
    """Make the nodes that quotas allow and that are to be had; gives how many were not to be had."""
    wanted = max(0, _wanted(pool, dedicated=dedicated))
    granted = min(wanted, quota.allowed(account, pool, dedicated=dedicated))
    pool.refused[dedicated] = wanted - granted
    if granted < wanted:
        pool.resize_errors.append(quota.refusal(dedicated=dedicated, missing=wanted - granted))
    made = min(granted, quota.available(account, dedicated=dedicated))
    for _ in range(made):
        node_life.create(account, pool, dedicated=dedicated)
    return granted - made


def _shrink(account: Account, pool: Pool, option: str, *, dedicated: bool) -> None:
    surplus = -_wanted(pool, dedicated=dedicated)
    if surplus > 0:
        ranked = sorted(_staying(pool, dedicated=dedicated), key=lambda node: (len(node.running), node.state == "idle"))
        for node in ranked[:surplus]:
            node_life.leave(account, node, option)


def _time_out(account: Account, pool: Pool) -> None:
    """The resize takes too long: it ends where it stands, and says what is missing."""
    if pool.state != "active" or pool.allocation != "resizing":
        return
    for kind in KINDS:
        missing = _wanted(pool, dedicated=kind) - pool.refused.get(kind, 0)
        if missing > 0:
            message = f"Desired number of {_NAMES[kind]} nodes could not be allocated within the resize timeout"
            details = (("NodesNotAllocated", str(missing)),)
            pool.resize_errors.append(Failure("usererror", "AllocationTimedOut", message, details))
    if any(node.leaving and node.leaving.then == "leave" for node in pool.nodes.values()):
        message = "Nodes could not be removed from the pool within the resize timeout"
        pool.resize_errors.append(Failure("usererror", "RemoveNodesFailed", message))
    _halt(account, pool)


def _halt(account: Account, pool: Pool) -> None:
    for node in list(pool.nodes.values()):
        node_life.stay(account, node)
    move_allocation(pool, "stopping", account.now())
    pool.modified = account.now()
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def stop_resize(account: Account, pool: Pool) -> None:
    """Stop a resize where it stands; the nodes that are there become the target."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    if pool.allocation != "resizing":
        raise BatchError("OperationInvalidForCurrentState", ("AllocationState", pool.allocation))
    there = [node for node in pool.nodes.values() if node.state != "leavingpool"]
    pool.target_dedicated = sum(node.dedicated for node in there)
    pool.target_low_priority = len(there) - pool.target_dedicated
    pool.resize_errors.append(Failure("usererror", "ResizeStopped", "The resize was stopped by the user"))
    _halt(account, pool)


def remove_nodes(account: Account, pool: Pool, node_ids: list[str], option: str) -> None:
    """Take the named nodes out of a pool, and its targets down with them."""
    require_steady(pool)
    nodes: list[Node] = []
    for node_id in dict.fromkeys(node_ids):
        if node_id not in pool.nodes:
            raise property_error("nodeList", node_id, "The node is not in the pool.")
        nodes.append(pool.nodes[node_id])
    _begin_resize(account, pool)
    left = [max(_target(pool, dedicated=kind), quota.count(pool, dedicated=kind)) for kind in KINDS]
    for kind, target in zip(KINDS, left, strict=True):
        pool.refused[kind] = target - quota.count(pool, dedicated=kind)  # what was missing is not looked for now
    for node in nodes:
        left[0 if node.dedicated else 1] -= 1
    pool.target_dedicated, pool.target_low_priority = left
    for node in nodes:
        node_life.leave(account, node, option)
    account.journal.pool(pool)
    node_life.settle_pool(account, pool)


def delete(account: Account, pool: Pool) -> None:
    """Delete a pool; tasks that run on it are requeued and wait for a pool of that id."""
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    move_pool(pool, "deleting", account.now())
    for timer in (pool.resize_timer, pool.scale_timer):
        if timer is not None:
            timer.cancel()
    account.journal.pool(pool)
    for node in list(pool.nodes.values()):
        node_life.stay(account, node)
        node_life.leave(account, node, "requeue")
    node_life.settle_pool(account, pool)
