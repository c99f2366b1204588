"""Operations on pools."""

from __future__ import annotations

from typing import Any

from batch_emulator import pool_life, resource_files
from batch_emulator.account import Account
from batch_emulator.entities import Pool, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.paging import check_expand, collect, list_reply, numbered, selection
from batch_emulator.render import pool_fields
from batch_emulator.support import SECRET_FIELDS
from batch_emulator.wire import Reply, Request, accepted, check_preconditions, element, version_headers

MAX_NODES = 1000
MAX_SLOTS = 256

_RECORDED = (
    "displayName",
    "virtualMachineConfiguration",
    "enableInterNodeCommunication",
    "networkConfiguration",
    "userAccounts",
    "metadata",
    "upgradePolicy",
)
_ONLY_EMPTY = frozenset(_RECORDED) - {"metadata"} | {"vmSize", "taskSlotsPerNode", "taskSchedulingPolicy"}

PROPERTIES: dict[str, Property[Pool]] = {
    "id": lambda pool: pool.id,
    "displayName": lambda pool: pool.spec.get("displayName"),
    "state": lambda pool: pool.state,
    "stateTransitionTime": lambda pool: pool.state_since,
    "allocationState": lambda pool: pool.allocation,
    "allocationStateTransitionTime": lambda pool: pool.allocation_since,
    "creationTime": lambda pool: pool.created,
    "lastModified": lambda pool: pool.modified,
    "enableAutoScale": lambda _: False,
    "taskSlotsPerNode": lambda pool: pool.slots_per_node,
    "vmSize": lambda pool: pool.vm_size,
}


def _url(account: Account, pool: Pool) -> str:
    return f"{account.url}/pools/{pool.id}"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(entry) for name, entry in value.items() if name not in SECRET_FIELDS}
    if isinstance(value, list):
        return [_without_secrets(entry) for entry in value]
    return value


def _recorded(spec: Spec) -> Spec:
    kept = {name: _without_secrets(spec[name]) for name in _RECORDED if name in spec}
    image = kept.get("virtualMachineConfiguration", {}).get("imageReference")
    if image is not None and "publisher" in image:
        image.setdefault("version", "latest")
    return kept


def _count(spec: Spec, name: str, low: int, high: int, default: int) -> int:
    value: int = spec.get(name, default)
    if not low <= value <= high:
        raise property_error(name, value, f"Expected {low} to {high}.")
    return value


def _checked_start_task(spec: Spec) -> Spec | None:
    task: Spec | None = spec.get("startTask")
    if task is None:
        return None
    resource_files.check(task.get("resourceFiles", []), "startTask.resourceFiles")
    return {"maxTaskRetryCount": 0, "waitForSuccess": True} | task


def create(account: Account, request: Request) -> Reply:
    """Add a pool; its nodes start by themselves."""
    spec = request.spec("BatchPoolCreateOptions")
    pool_id = check_id(spec["id"])
    if "virtualMachineConfiguration" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "virtualMachineConfiguration"))
    if pool_id.lower() in account.pools:
        raise BatchError("PoolExists")
    now = account.now()
    pool = Pool(
        id=pool_id,
        spec=_recorded(spec),
        vm_size=spec["vmSize"].lower(),
        created=now,
        modified=now,
        state_since=now,
        allocation_since=now,
        slots_per_node=_count(spec, "taskSlotsPerNode", 1, MAX_SLOTS, 1),
        fill=spec.get("taskSchedulingPolicy", {}).get("nodeFillType", "spread"),
        resize_timeout=spec.get("resizeTimeout", "PT15M"),
        target_dedicated=_count(spec, "targetDedicatedNodes", 0, MAX_NODES, 0),
        target_low_priority=_count(spec, "targetLowPriorityNodes", 0, MAX_NODES, 0),
        start_task=_checked_start_task(spec),
    )
    account.pools[pool_id.lower()] = pool
    account.journal.pool(pool)
    pool_life.begin(account, pool)
    return accepted(pool.modified, _url(account, pool), location=True)


def list_pools(account: Account, request: Request) -> Reply:
    """All pools."""
    check_expand(request)
    wanted = selection(request, "BatchPool")
    pools = numbered(list(account.pools.values()), request)
    page = collect(request, pools, PROPERTIES, lambda pool: pool_fields(account, pool, wanted))
    return list_reply(account, request, "pools", page)


def get(account: Account, request: Request) -> Reply:
    """One pool."""
    check_expand(request)
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    fields = pool_fields(account, pool, selection(request, "BatchPool"))
    return element(account.url, "pools", fields, pool.modified)


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
    if pool.nodes and not _ONLY_EMPTY.isdisjoint(spec):
        names = ", ".join(sorted(_ONLY_EMPTY & spec.keys()))
        reason = ("Reason", f"{names} can change only while the pool has no nodes.")
        raise BatchError("OperationInvalidForCurrentState", reason)
    pool.slots_per_node = _count(spec, "taskSlotsPerNode", 1, MAX_SLOTS, pool.slots_per_node)
    pool.fill = spec.get("taskSchedulingPolicy", {}).get("nodeFillType", pool.fill)
    pool.vm_size = spec.get("vmSize", pool.vm_size).lower()
    pool.start_task = _checked_start_task(spec) or pool.start_task
    pool.spec |= _recorded(spec)
    return _changed(account, pool)


def replace_properties(account: Account, request: Request) -> Reply:
    """Replace start task and metadata as a whole."""
    spec = request.spec("BatchPoolReplaceOptions")
    pool = _changeable(account, request)
    pool.start_task = _checked_start_task(spec)
    pool.spec["metadata"] = spec["metadata"]
    return _changed(account, pool)


def resize(account: Account, request: Request) -> Reply:
    """Change the number of nodes."""
    spec = request.spec("BatchPoolResizeOptions")
    pool = _changeable(account, request)
    if "targetDedicatedNodes" not in spec and "targetLowPriorityNodes" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "targetDedicatedNodes"))
    pool_life.require_steady(pool)
    pool.resize_timeout = spec.get("resizeTimeout", "PT15M")
    pool_life.resize(
        account,
        pool,
        _count(spec, "targetDedicatedNodes", 0, MAX_NODES, pool.target_dedicated),
        _count(spec, "targetLowPriorityNodes", 0, MAX_NODES, pool.target_low_priority),
        deallocation(spec, "nodeDeallocationOption"),
    )
    return accepted(pool.modified, _url(account, pool))


def deallocation(spec: Spec, name: str) -> str:
    """What is to become of running tasks; retaineddata is not supported yet."""
    option: str = spec.get(name, "requeue")
    if option == "retaineddata":
        raise BatchError(
            "UnsupportedProperty",
            ("PropertyName", name),
            ("Reason", "The emulator knows requeue, terminate and taskcompletion."),
        )
    return option


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
    option = deallocation(spec, "nodeDeallocationOption")
    pool_life.remove_nodes(account, pool, spec["nodeList"], option)
    return accepted(pool.modified, _url(account, pool))


def delete(account: Account, request: Request) -> Reply:
    """Delete the pool and its nodes."""
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    pool_life.delete(account, pool)
    return Reply()
