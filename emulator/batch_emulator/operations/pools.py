"""Operations on pools."""

from __future__ import annotations

from batch_emulator import pool_life, pool_scaling
from batch_emulator.account import Account
from batch_emulator.entities import Pool, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.operations import pool_rules
from batch_emulator.operations.kinds import Kind
from batch_emulator.paging import numbered
from batch_emulator.quota import MAX_NODES
from batch_emulator.render_pools import pool_fields
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    json_reply,
    version_headers,
)

PROPERTIES: dict[str, Property[Pool]] = {
    "id": lambda pool: pool.id,
    "displayName": lambda pool: pool.spec.get("displayName"),
    "state": lambda pool: pool.state,
    "stateTransitionTime": lambda pool: pool.state_since,
    "allocationState": lambda pool: pool.allocation,
    "allocationStateTransitionTime": lambda pool: pool.allocation_since,
    "creationTime": lambda pool: pool.created,
    "lastModified": lambda pool: pool.modified,
    "enableAutoScale": lambda pool: pool.auto_scale,
    "taskSlotsPerNode": lambda pool: pool.slots_per_node,
    "vmSize": lambda pool: pool.vm_size,
}


POOLS: Kind[Pool] = Kind("pools", "BatchPool", PROPERTIES, pool_fields)


def _url(account: Account, pool: Pool) -> str:
    return f"{account.url}/pools/{pool.id}"


def create(account: Account, request: Request) -> Reply:
    """Add a pool; its nodes start by themselves."""
    pool = make(account, request.spec("BatchPoolCreateOptions"))
    return accepted(pool.modified, _url(account, pool), location=True)


def make(account: Account, spec: Spec) -> Pool:
    """Add a pool of a BatchPoolCreateOptions that keeps to the schema; BatchError if it cannot be."""
    pool_id = check_id(spec["id"])
    if "virtualMachineConfiguration" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "virtualMachineConfiguration"))
    if pool_id.lower() in account.pools:
        raise BatchError("PoolExists")
    scaling = pool_rules.auto_scale(spec)
    pool_rules.check_packages(account, spec)
    now = account.now()
    pool = Pool(
        id=pool_id,
        spec=pool_rules.recorded(spec),
        vm_size=spec["vmSize"].lower(),
        created=now,
        modified=now,
        state_since=now,
        allocation_since=now,
        slots_per_node=pool_rules.slots(spec, spec["vmSize"], 1),
        fill=spec.get("taskSchedulingPolicy", {}).get("nodeFillType", "spread"),
        resize_timeout=pool_rules.resize_timeout(spec),
        target_dedicated=pool_rules.count(spec, "targetDedicatedNodes", 0, MAX_NODES, 0),
        target_low_priority=pool_rules.count(spec, "targetLowPriorityNodes", 0, MAX_NODES, 0),
        start_task=pool_rules.start_task(spec),
    )
    account.pools[pool_id.lower()] = pool
    account.journal.pool(pool)
    if scaling is None:
        pool_life.begin(account, pool)
    else:
        pool_scaling.begin(account, pool, *scaling)
    pool_scaling.keep_sampling(account)
    return pool


def list_pools(account: Account, request: Request) -> Reply:
    """All pools."""
    return POOLS.page(account, request, numbered(list(account.pools.values()), request))


def get(account: Account, request: Request) -> Reply:
    """One pool."""
    return POOLS.one(account, request, account.pool(request.path["poolId"]))


def exists(account: Account, request: Request) -> Reply:
    """Whether a pool exists: 200 or 404."""
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    return Reply(version_headers(pool.modified))


def _changeable(account: Account, request: Request) -> Pool:
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")
    return pool


def _changed(account: Account, pool: Pool) -> Reply:
    pool.modified = account.now()
    account.journal.pool(pool)
    return accepted(pool.modified, _url(account, pool))


def patch(account: Account, request: Request) -> Reply:
    """Change what is named in the body; most of it only while the pool is empty."""
    spec = request.spec("BatchPoolUpdateOptions")
    pool = _changeable(account, request)
    if pool.nodes and not pool_rules.ONLY_EMPTY.isdisjoint(spec):
        names = ", ".join(sorted(pool_rules.ONLY_EMPTY & spec.keys()))
        reason = ("Reason", f"{names} can change only while the pool has no nodes.")
        raise BatchError("OperationInvalidForCurrentState", reason)
    pool_rules.check_packages(account, spec)
    pool.slots_per_node = pool_rules.slots(spec, spec.get("vmSize", pool.vm_size), pool.slots_per_node)
    pool.fill = spec.get("taskSchedulingPolicy", {}).get("nodeFillType", pool.fill)
    pool.vm_size = spec.get("vmSize", pool.vm_size).lower()
    pool.start_task = pool_rules.start_task(spec) or pool.start_task
    pool.spec |= pool_rules.recorded(spec)
    return _changed(account, pool)


def replace_properties(account: Account, request: Request) -> Reply:
    """Replace start task and metadata as a whole."""
    spec = request.spec("BatchPoolReplaceOptions")
    pool = _changeable(account, request)
    pool_rules.check_packages(account, spec)
    pool.start_task = pool_rules.start_task(spec)
    pool.spec["metadata"] = spec["metadata"]
    pool.spec[pool_rules.PACKAGES] = spec[pool_rules.PACKAGES]
    if "targetNodeCommunicationMode" in spec:
        pool.spec["targetNodeCommunicationMode"] = spec["targetNodeCommunicationMode"]
    return _changed(account, pool)


def resize(account: Account, request: Request) -> Reply:
    """Change the number of nodes."""
    spec = request.spec("BatchPoolResizeOptions")
    pool = _changeable(account, request)
    if "targetDedicatedNodes" not in spec and "targetLowPriorityNodes" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "targetDedicatedNodes"))
    timeout = pool_rules.resize_timeout(spec)
    _require_fixed(pool)
    pool_life.require_steady(pool)
    pool.resize_timeout = timeout
    pool_life.resize(
        account,
        pool,
        pool_rules.count(spec, "targetDedicatedNodes", 0, MAX_NODES, pool.target_dedicated),
        pool_rules.count(spec, "targetLowPriorityNodes", 0, MAX_NODES, pool.target_low_priority),
        spec.get("nodeDeallocationOption", "requeue"),
    )
    return accepted(pool.modified, _url(account, pool))


def _require_fixed(pool: Pool) -> None:
    """The size of a pool that scales itself is changed by its formula only."""
    if pool.auto_scale:
        raise BatchError(
            "OperationInvalidForCurrentState",
            ("Reason", "Auto scale is enabled on the pool: disable it first."),
        )


def enable_auto_scale(account: Account, request: Request) -> Reply:
    """Let a formula decide how many nodes the pool has."""
    spec = request.spec("BatchPoolEnableAutoScaleOptions")
    pool = _changeable(account, request)
    interval = spec.get("autoScaleEvaluationInterval")
    if interval is not None:
        pool_scaling.check_interval(interval)
    pool_scaling.enable(account, pool, spec.get("autoScaleFormula"), interval)
    return accepted(pool.modified, _url(account, pool))


def disable_auto_scale(account: Account, request: Request) -> Reply:
    """Leave the pool at its size."""
    pool = _changeable(account, request)
    pool_scaling.disable(account, pool)
    return accepted(pool.modified, _url(account, pool))


def evaluate_auto_scale(account: Account, request: Request) -> Reply:
    """What a formula would decide now; nothing is changed."""
    spec = request.spec("BatchPoolEvaluateAutoScaleOptions")
    pool = account.pool(request.path["poolId"])
    run = pool_scaling.evaluate_only(account, pool, spec["autoScaleFormula"])
    name = "Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun"
    return json_reply(
        {"odata.metadata": f"{account.url}/$metadata#{name}"} | run, {"dataserviceid": _url(account, pool)}
    )


def stop_resize(account: Account, request: Request) -> Reply:
    """Stop a resize where it stands."""
    pool = _changeable(account, request)
    pool_life.stop_resize(account, pool)
    return accepted(pool.modified, _url(account, pool))


def remove_nodes(account: Account, request: Request) -> Reply:
    """Take named nodes out of the pool."""
    spec = request.spec("BatchNodeRemoveOptions")
    pool = _changeable(account, request)
    if not 1 <= len(spec["nodeList"]) <= 100:
        raise property_error("nodeList", len(spec["nodeList"]), "Expected 1 to 100 nodes.")
    _require_fixed(pool)
    pool.resize_timeout = pool_rules.resize_timeout(spec)
    pool_life.remove_nodes(account, pool, spec["nodeList"], spec.get("nodeDeallocationOption", "requeue"))
    return accepted(pool.modified, _url(account, pool))


def delete(account: Account, request: Request) -> Reply:
    """Delete the pool and its nodes."""
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    pool_life.delete(account, pool)
    return Reply()
