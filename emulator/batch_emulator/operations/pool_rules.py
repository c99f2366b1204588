"""What a pool must keep to, beyond the schema, and its defaults."""

from __future__ import annotations

from typing import Any

from batch_emulator import applications, pool_scaling, resource_files
from batch_emulator.account import Account
from batch_emulator.durations import duration_seconds
from batch_emulator.entities import Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.quota import known_cores
from batch_emulator.support import SECRET_FIELDS

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
    "targetNodeCommunicationMode",
    PACKAGES,
)
ONLY_EMPTY = frozenset(_RECORDED) - {"metadata", PACKAGES, "targetNodeCommunicationMode"} | {
    "vmSize",
    "taskSlotsPerNode",
    "taskSchedulingPolicy",
}


def without_secrets(value: Any) -> Any:
    """A JSON value without what is never given back."""
    if isinstance(value, dict):
        return {name: without_secrets(entry) for name, entry in value.items() if name not in SECRET_FIELDS}
    if isinstance(value, list):
        return [without_secrets(entry) for entry in value]
    return value


def recorded(spec: Spec) -> Spec:
    """What is only kept and given back, without its secrets."""
    kept = {name: without_secrets(spec[name]) for name in _RECORDED if name in spec}
    image = kept.get("virtualMachineConfiguration", {}).get("imageReference")
    if image is not None and "publisher" in image:
        image.setdefault("version", "latest")
    order = spec.get("taskSchedulingPolicy", {}).get("jobDefaultOrder")
    return kept | ({"jobDefaultOrder": order} if order else {})


def count(spec: Spec, name: str, low: int, high: int, default: int) -> int:
    """A number between two bounds, both included."""
    value: int = spec.get(name, default)
    if not low <= value <= high:
        raise property_error(name, value, f"Expected {low} to {high}.")
    return value


def slots(spec: Spec, vm_size: str, default: int) -> int:
    """taskSlotsPerNode: four for each core of the size, and 256 at most, also for sizes that are not known."""
    known = known_cores(vm_size)
    high = MAX_SLOTS if known is None else min(MAX_SLOTS, SLOTS_A_CORE * known)
    return count(spec, "taskSlotsPerNode", 1, high, default)


def resize_timeout(spec: Spec) -> str:
    """How long a resize may take: 5 minutes to 168 hours."""
    timeout: str = spec.get("resizeTimeout", "PT15M")
    if not SHORTEST_TIMEOUT <= duration_seconds(timeout) <= pool_scaling.LONGEST_INTERVAL:
        raise property_error("resizeTimeout", timeout, "Expected 5 minutes to 168 hours.")
    return timeout


def check_packages(account: Account, spec: Spec) -> None:
    """Refuse references to packages that are not there."""
    applications.check(account.settings.applications, spec.get(PACKAGES, ()), PACKAGES)


def auto_scale(spec: Spec) -> tuple[str, str] | None:
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


def start_task(spec: Spec) -> Spec | None:
    """The start task with its defaults; None if there is none."""
    task: Spec | None = spec.get("startTask")
    if task is None:
        return None
    resource_files.check(task.get("resourceFiles", []), "startTask.resourceFiles")
    return {"maxTaskRetryCount": 0, "waitForSuccess": True} | task
