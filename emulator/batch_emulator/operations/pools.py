"""Operations on pools."""

from __future__ import annotations

from typing import Any

from batch_emulator import applications, pool_life, pool_scaling, resource_files
from batch_emulator.account import Account
from batch_emulator.durations import duration_seconds
from batch_emulator.entities import Pool, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.filters import Property
from batch_emulator.ids import check_id
from batch_emulator.paging import check_expand, collect, list_reply, numbered, selection
from batch_emulator.quota import MAX_NODES, known_cores
from batch_emulator.render import pool_fields
from batch_emulator.support import SECRET_FIELDS
from batch_emulator.wire import (
    Reply,
    Request,
    accepted,
    check_preconditions,
    element,
    json_reply,
    version_headers,
)

MAX_SLOTS = 256
SLOTS_A_CORE = 4
SHORTEST_TIMEOUT = 300
PACKAGES = "applicationPackageReferences"

_RECORDED = (
    "displayName",
    "virtualMachineConfiguration",
    "enableInterNodeCommunication",
    "networkConfiguration",
    "userAccounts",
    "metadata",
    "upgradePolicy",
    PACKAGES,
)
_ONLY_EMPTY = frozenset(_RECORDED) - {"metadata", PACKAGES} | {"vmSize", "taskSlotsPerNode", "taskSchedulingPolicy"}

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


def _url(account: Account, pool: Pool) -> str:
    return f"{account.url}/pools/{pool.id}"


def without_secrets(value: Any) -> Any:
    """A JSON value without what is never given back."""
    if isinstance(value, dict):
        return {name: without_secrets(entry) for name, entry in value.items() if name not in SECRET_FIELDS}
    if isinstance(value, list):
        return [without_secrets(entry) for entry in value]
    return value


def _recorded(spec: Spec) -> Spec:
    kept = {name: without_secrets(spec[name]) for name in _RECORDED if name in spec}
    image = kept.get("virtualMachineConfiguration", {}).get("imageReference")
    if image is not None and "publisher" in image:
        image.setdefault("version", "latest")
    return kept


def _count(spec: Spec, name: str, low: int, high: int, default: int) -> int:
    value: int = spec.get(name, default)
    if not low <= value <= high:
        raise property_error(name, value, f"Expected {low} to {high}.")
    return value


def _slots(spec: Spec, vm_size: str, default: int) -> int:
    """taskSlotsPerNode: four for each core of the size, and 256 at most, also for sizes that are not known."""
    known = known_cores(vm_size)
    high = MAX_SLOTS if known is None else min(MAX_SLOTS, SLOTS_A_CORE * known)
    return _count(spec, "taskSlotsPerNode", 1, high, default)


def _resize_timeout(spec: Spec) -> str:
    timeout: str = spec.get("resizeTimeout", "PT15M")
    if not SHORTEST_TIMEOUT <= duration_seconds(timeout) <= pool_scaling.LONGEST_INTERVAL:
        raise property_error("resizeTimeout", timeout, "Expected 5 minutes to 168 hours.")
    return timeout


def _check_packages(account: Account, spec: Spec) -> None:
    for reference in spec.get(PACKAGES, ()):
        applications.package(account.settings.applications, reference)


def _auto_scale(spec: Spec) -> tuple[str, str] | None:
    """Formula and interval of a new pool; what does not go together is refused."""
    if not spec.get("enableAutoScale", False):
        for name in ("autoScaleFormula", "autoScaleEvaluationInterval"):
            if name in spec:
                raise property_error(name, spec[name], "It can be given only if enableAutoScale is true.")
        return None
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        if spec.get(name):
            raise property_error(name, spec[name], "It cannot be given if enableAutoScale is true.")
    if "autoScaleFormula" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "autoScaleFormula"))
    pool_scaling.check_formula(spec["autoScaleFormula"])
    interval = spec.get("autoScaleEvaluationInterval", pool_scaling.DEFAULT_INTERVAL)
    return spec["autoScaleFormula"], pool_scaling.check_interval(interval)


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
    scaling = _auto_scale(spec)
    _check_packages(account, spec)
    now = account.now()
    pool = Pool(
        id=pool_id,
        spec=_recorded(spec),
        vm_size=spec["vmSize"].lower(),
        created=now,
        modified=now,
        state_since=now,
        allocation_since=now,
        slots_per_node=_slots(spec, spec["vmSize"], 1),
        fill=spec.get("taskSchedulingPolicy", {}).get("nodeFillType", "spread"),
        resize_timeout=_resize_timeout(spec),
        target_dedicated=_count(spec, "targetDedicatedNodes", 0, MAX_NODES, 0),
        target_low_priority=_count(spec, "targetLowPriorityNodes", 0, MAX_NODES, 0),
        start_task=_checked_start_task(spec),
    )
    account.pools[pool_id.lower()] = pool
    account.journal.pool(pool)
    if scaling is None:
        pool_life.begin(account, pool)
    else:
        pool_scaling.begin(account, pool, *scaling)
    pool_scaling.keep_sampling(account)
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
    _check_packages(account, spec)
    pool.slots_per_node = _slots(spec, spec.get("vmSize", pool.vm_size), pool.slots_per_node)
    pool.fill = spec.get("taskSchedulingPolicy", {}).get("nodeFillType", pool.fill)
    pool.vm_size = spec.get("vmSize", pool.vm_size).lower()
    pool.start_task = _checked_start_task(spec) or pool.start_task
    pool.spec |= _recorded(spec)
    return _changed(account, pool)


def replace_properties(account: Account, request: Request) -> Reply:
    """Replace start task and metadata as a whole."""
    spec = request.spec("BatchPoolReplaceOptions")
    pool = _changeable(account, request)
    _check_packages(account, spec)
    pool.start_task = _checked_start_task(spec)
    pool.spec["metadata"] = spec["metadata"]
    pool.spec[PACKAGES] = spec[PACKAGES]
    return _changed(account, pool)


def resize(account: Account, request: Request) -> Reply:
    """Change the number of nodes."""
    spec = request.spec("BatchPoolResizeOptions")
    pool = _changeable(account, request)
    if "targetDedicatedNodes" not in spec and "targetLowPriorityNodes" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "targetDedicatedNodes"))
    timeout = _resize_timeout(spec)
    _require_fixed(pool)
    pool_life.require_steady(pool)
    pool.resize_timeout = timeout
    pool_life.resize(
        account,
        pool,
        _count(spec, "targetDedicatedNodes", 0, MAX_NODES, pool.target_dedicated),
        _count(spec, "targetLowPriorityNodes", 0, MAX_NODES, pool.target_low_priority),
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
    pool.resize_timeout = _resize_timeout(spec)
    pool_life.remove_nodes(account, pool, spec["nodeList"], spec.get("nodeDeallocationOption", "requeue"))
    return accepted(pool.modified, _url(account, pool))


def delete(account: Account, request: Request) -> Reply:
    """Delete the pool and its nodes."""
    pool = account.pool(request.path["poolId"])
    check_preconditions(request, pool.modified)
    pool_life.delete(account, pool)
    return Reply()
