"""What a new job must keep to, beyond the schema, and the defaults of its tasks. A schedule's jobs keep to it too."""

from __future__ import annotations

from batch_emulator import applications, auto_pools, output_files, resource_files, task_tokens
from batch_emulator.account import Account
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.ids import check_id

_PARTS = ("jobManagerTask", "jobPreparationTask", "jobReleaseTask")
_NAMES = {"jobPreparationTask": "jobpreparation", "jobReleaseTask": "jobrelease"}
_CONSTRAINTS: Spec = {"maxWallClockTime": UNLIMITED, "retentionTime": "P7D", "maxTaskRetryCount": 0}
_DEFAULTS: dict[str, Spec] = {
    "jobManagerTask": {
        "requiredSlots": 1,
        "killJobOnCompletion": True,
        "runExclusive": True,
        "allowLowPriorityNode": True,
    },
    "jobPreparationTask": {"waitForSuccess": True, "rerunOnNodeRebootAfterSuccess": True},
    "jobReleaseTask": {"maxWallClockTime": "PT15M", "retentionTime": "P7D"},
}
MAX_RELEASE_SECONDS = 900


def checked(account: Account, spec: Spec, *, scheduled: bool = False) -> Spec:
    """The spec of a job with the defaults of its special tasks filled in; BatchError if it could not be."""
    spec = spec | {name: _with_defaults(name, spec[name]) for name in _PARTS if name in spec}
    if "jobReleaseTask" in spec and "jobPreparationTask" not in spec:
        raise property_error("jobReleaseTask", spec["jobReleaseTask"]["id"], "It needs a jobPreparationTask.")
    ids = [spec[name]["id"].lower() for name in _PARTS if name in spec]
    if len(set(ids)) != len(ids):
        raise property_error("jobPreparationTask.id", ids, "The tasks of a job need different ids.")
    for name in _PARTS:
        if name in spec:
            _check_part(account, spec[name], name)
    check_environment(spec.get("commonEnvironmentSettings", []), "commonEnvironmentSettings")
    check_pool(spec["poolInfo"], scheduled=scheduled)
    check_numbers(spec)
    return spec


def _with_defaults(name: str, part: Spec) -> Spec:
    part = _DEFAULTS[name] | ({"id": _NAMES[name]} if name in _NAMES else {}) | part
    if name != "jobReleaseTask":
        part["constraints"] = _CONSTRAINTS | part.get("constraints", {})
    return part


def _check_part(account: Account, part: Spec, name: str) -> None:
    check_id(part["id"], f"{name}.id")
    task_tokens.check_settings(account, part, f"{name}.")
    storage = account.settings.auto_storage is not None
    resource_files.check(part.get("resourceFiles", []), f"{name}.resourceFiles", auto_storage=storage)
    output_files.check(part.get("outputFiles", []), f"{name}.outputFiles")
    check_environment(part.get("environmentSettings", []), f"{name}.environmentSettings")
    references = part.get("applicationPackageReferences", ())
    applications.check_of_task(account.settings.applications, references, f"{name}.applicationPackageReferences")
    limit = part.get("maxWallClockTime")
    if limit is not None and duration_seconds(limit) > MAX_RELEASE_SECONDS:
        raise property_error(f"{name}.maxWallClockTime", limit, "At most 15 minutes.")
    retries = part.get("constraints", {}).get("maxTaskRetryCount", 0)
    if retries < -1:
        raise property_error(f"{name}.constraints.maxTaskRetryCount", retries, "Expected -1 or above.")


def check_environment(entries: list[Spec], path: str) -> None:
    """Refuse names of variables that no process could have."""
    for index, entry in enumerate(entries):
        if not entry["name"] or "=" in entry["name"] or "\0" in entry["name"] + entry.get("value", ""):
            raise property_error(f"{path}[{index}].name", entry["name"], "Not a variable's name.")


def check_pool(info: Spec, *, scheduled: bool = False) -> None:
    """A job runs in a pool that is named, or in one that is made for it."""
    named, auto = info.get("poolId"), info.get(auto_pools.AUTO_POOL)
    if named is None and auto is None:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "poolInfo.poolId"))
    if named is not None and auto is not None:
        raise property_error("poolInfo", named, "Give poolId or autoPoolSpecification, not both.")
    if named is not None:
        check_id(named, "poolInfo.poolId")
    else:
        auto_pools.check(info[auto_pools.AUTO_POOL], scheduled=scheduled)


def check_numbers(spec: Spec) -> None:
    """Refuse numbers of a job that are out of range."""
    priority = spec.get("priority", 0)
    if not -1000 <= priority <= 1000:
        raise property_error("priority", priority, "Expected -1000 to 1000.")
    parallel = spec.get("maxParallelTasks", -1)
    if parallel != -1 and parallel < 1:
        raise property_error("maxParallelTasks", parallel, "Expected -1 or a number above 0.")
    retries = spec.get("constraints", {}).get("maxTaskRetryCount", 0)
    if retries < -1:
        raise property_error("constraints.maxTaskRetryCount", retries, "Expected -1 or above.")
