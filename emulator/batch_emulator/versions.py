"""The api-versions of living clients, and how those before 2025-06-01 differ, in requests and in answers, as tables.

All of the emulator speaks 2025-06-01. Here a request of an older client is said in today's words, and an answer in
the client's: what its version does not know is not sent to it, and refused when it comes from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from batch_emulator.errors import BatchError
from batch_emulator.validation import OLD_FIELDS, schema

CURRENT = "2025-06-01"
API_VERSIONS = (
    "2020-09-01.12.0",
    "2021-06-01.14.0",
    "2022-01-01.15.0",
    "2022-10-01.16.0",
    "2023-05-01.17.0",
    "2023-11-01.18.0",
    "2024-02-01.19.0",
    "2024-07-01.20.0",
    CURRENT,
)
V12, V14, V15, V16, V17, V18, V19, V20, _ = API_VERSIONS

Body = dict[str, Any]

SINCE: Mapping[str, Mapping[str, str]] = {
    "BatchPool": {"upgradePolicy": V19, "targetNodeCommunicationMode": V16, "currentNodeCommunicationMode": V16},
    "BatchPoolCreateOptions": {"upgradePolicy": V19, "targetNodeCommunicationMode": V16, "resourceTags": V19},
    "BatchPoolSpecification": {"upgradePolicy": V19, "targetNodeCommunicationMode": V16, "resourceTags": V19},
    "BatchPoolReplaceOptions": {"targetNodeCommunicationMode": V16},
    "BatchPoolUpdateOptions": {
        "targetNodeCommunicationMode": V16,
        "displayName": V20,
        "vmSize": V20,
        "taskSlotsPerNode": V20,
        "taskSchedulingPolicy": V20,
        "enableInterNodeCommunication": V20,
        "virtualMachineConfiguration": V20,
        "networkConfiguration": V20,
        "userAccounts": V20,
        "mountConfiguration": V20,
        "upgradePolicy": V20,
        "resourceTags": V20,
    },
    "BatchTaskSchedulingPolicy": {"jobDefaultOrder": CURRENT},
    "NetworkConfiguration": {"enableAcceleratedNetworking": V19},
    "BatchPublicIpAddressConfiguration": {"ipFamilies": CURRENT, "ipTags": CURRENT},
    "VirtualMachineConfiguration": {"securityProfile": V19, "serviceArtifactReference": V19},
    "BatchVmImageReference": {"sharedGalleryImageId": V20, "communityGalleryImageId": V20},
    "BatchOsDisk": {"caching": V19, "managedDisk": V19, "diskSizeGB": V19, "writeAcceleratorEnabled": V19},
    "ManagedDisk": {"securityProfile": V20, "diskEncryptionSet": CURRENT},
    "DiskEncryptionConfiguration": {"customerManagedKey": CURRENT},
    "SecurityProfile": {"proxyAgentSettings": CURRENT},
    "VMExtension": {"enableAutomaticUpgrade": V19},
    "BatchTaskContainerSettings": {"containerHostBatchBindMounts": V20},
    "BatchJobUpdateOptions": {"networkConfiguration": V20},
    "BatchNode": {"ipv6Address": CURRENT},
    "BatchNodeRemoteLoginSettings": {"ipv6RemoteLoginIPAddress": CURRENT, "ipv6RemoteLoginPort": CURRENT},
    "VirtualMachineInfo": {"scaleSetVmResourceId": V19},
    "BatchNodeCounts": {"upgradingOS": V19, "deallocated": V20, "deallocating": V20},
}
"""Model -> field -> the first of API_VERSIONS that has it. What is not here was always there.

From the OpenAPI of 2024-07-01.20.0 and the release notes of azure-batch 12.0.0 to 15.1.0 for Python.
"""

GONE = frozenset(
    (
        "certificateReferences",
        "cloudServiceConfiguration",
        "applicationLicenses",
        "resourceTags",
        "targetNodeCommunicationMode",
        "currentNodeCommunicationMode",
        "authenticationTokenSettings",
    )
)
"""Fields that 2025-06-01 does not have any more."""

WORDS: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]] = {
    ("BatchNode", "state"): {
        "deallocated": (V20, "offline"),
        "deallocating": (V20, "offline"),
        "upgradingos": (V19, "offline"),
    },
}
"""(model, field) -> word -> (the first version that knows it, what the ones before are told)."""

MODELS: Mapping[str, str] = {
    "/pools": "BatchPool",
    "/pools/{poolId}": "BatchPool",
    "/pools/{poolId}/nodes": "BatchNode",
    "/pools/{poolId}/nodes/{nodeId}": "BatchNode",
    "/jobs": "BatchJob",
    "/jobs/{jobId}": "BatchJob",
    "/jobschedules": "BatchJobSchedule",
    "/jobschedules/{jobScheduleId}": "BatchJobSchedule",
    "/jobschedules/{jobScheduleId}/jobs": "BatchJob",
    "/jobs/{jobId}/tasks": "BatchTask",
    "/jobs/{jobId}/tasks/{taskId}": "BatchTask",
    "/nodecounts": "BatchPoolNodeCounts",
}
"""Routes whose answers differ from version to version -> the model of what they show."""

_GONE_BYTES = tuple(f'"{name}"'.encode() for name in GONE)
_ANSWERED = frozenset(("BatchPool", "BatchNode", "BatchTask"))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a model, and what it holds, differs between versions."""

    fields: frozenset[str]
    children: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.fields or self.children)


def _target(node: Mapping[str, Any]) -> str | None:
    """The model that a field is, or is an array of."""
    reference = node.get("$ref") or node.get("items", {}).get("$ref")
    return reference.rsplit("/", 1)[1] if reference else None


@cache
def _plan(model: str) -> _Plan:
    properties = schema()["$defs"].get(model, {}).get("properties", {})
    own = set(SINCE.get(model, ())) | set(OLD_FIELDS.get(model, ()))
    own |= GONE if model in _ANSWERED else set()
    own |= {name for of, name in WORDS if of == model}
    found = [(name, target) for name, node in properties.items() if (target := _target(node))]
    children = tuple((name, target) for name, target in found if target in _RESHAPED or _plan(target))
    return _Plan(frozenset(own), children)


def _knows(model: str, name: str, version: str) -> bool:
    first = SINCE.get(model, {}).get(name, V12)
    return first <= version and not (name in GONE and version == CURRENT)


def has_field(model: str, name: str, version: str) -> bool:
    """Whether an answer of that model can have a field."""
    there = name in schema()["$defs"][model]["properties"] or (name in GONE and model in _ANSWERED)
    return there and _knows(model, name, version)


def _only_empty(name: str, value: Any) -> None:
    if value not in (None, [], {}):
        raise BatchError("UnsupportedProperty", ("PropertyName", name), ("Reason", _REFUSED[name]))


_REFUSED = {
    "certificateReferences": "Certificates left the service in February 2024.",
    "resourceTags": "Only accounts whose pools are in a subscription of their own have tags of resources.",
    "cloudServiceConfiguration": "Cloud Services left the service in February 2024.",
    "applicationLicenses": "Licences left the data plane before 2025-06-01.",
}


def modern(model: str, body: Any, version: str) -> Any:
    """A request body of that version as 2025-06-01 and OLD_FIELDS write it; InvalidRequestBody for what it has not."""
    plan = _plan(model)
    if not isinstance(body, dict) or not (plan or model in _RESHAPED):
        return body
    changed = dict(body)
    for name in plan.fields & body.keys():
        if body[name] is not None and not _knows(model, name, version):
            reason = f"The property {name!r} does not exist on type {model!r} in api-version {version}."
            raise BatchError("InvalidRequestBody", ("Reason", reason))
        if name in _REFUSED:
            _only_empty(name, changed.pop(name))
    for name, child in plan.children:
        if name in changed:
            changed[name] = _each(changed[name], partial(modern, child, version=version))
    reshape = _RESHAPED.get(model)
    return reshape.modern(changed) if reshape and version != CURRENT else changed


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    return [change(entry) for entry in value] if isinstance(value, list) else change(value)


def answer(template: str, body: bytes, version: str, wanted: frozenset[str] | None) -> bytes:
    """The JSON of an answer as that version writes it; `wanted` are the fields of $select."""
    model = MODELS.get(template)
    if model is None or (version == CURRENT and not any(name in body for name in _GONE_BYTES)):
        return body
    whole = json.loads(body)
    if "value" in whole:
        whole["value"] = [_shown(model, entry, version, wanted) for entry in whole["value"]]
    else:
        whole = _shown(model, whole, version, wanted)
    return json.dumps(whole, separators=(",", ":")).encode()


def _shown(model: str, value: Any, version: str, wanted: frozenset[str] | None = None) -> Any:
    plan = _plan(model)
    if not isinstance(value, dict) or not (plan or model in _RESHAPED):
        return value
    reshape = _RESHAPED.get(model)
    told = reshape.shown(value, version) if reshape and version != CURRENT else value
    shown = {
        name: _word(model, name, entry, version)
        for name, entry in told.items()
        if name not in plan.fields or _knows(model, name, version)
    }
    for name, child in plan.children:
        if name in shown:
            shown[name] = _each(shown[name], partial(_shown, child, version=version))
    for name, make in _ADDED.get(model, {}).items():
        if _knows(model, name, version) and (wanted is None or name in wanted):
            shown |= {name: made} if (made := make(value)) is not None else {}
    return shown


def _word(model: str, name: str, value: Any, version: str) -> Any:
    words = WORDS.get((model, name))
    if words is None or not isinstance(value, str) or value not in words:
        return value
    since, instead = words[value]
    return value if since <= version else instead


def _current_mode(pool: Body) -> str | None:
    target: str = pool.get("targetNodeCommunicationMode", "default")
    return "simplified" if target == "default" else target


_ADDED: Mapping[str, Mapping[str, Callable[[Body], Any]]] = {
    "BatchNode": {"certificateReferences": lambda node: None if node.get("state") == "creating" else []},
    "BatchPool": {
        "targetNodeCommunicationMode": lambda pool: pool.get("targetNodeCommunicationMode", "default"),
        "currentNodeCommunicationMode": _current_mode,
    },
}
"""Fields that only older answers have, and what stands in them; None: nothing."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A model that older versions write in another way."""

    modern: Callable[[Body], Body]
    shown: Callable[[Body, str], Body]


def _modern_disk(disk: Body) -> Body:
    """A data disk's storageAccountType stands in its managedDisk since 2025-06-01."""
    if "storageAccountType" not in disk:
        return disk
    kept = {name: value for name, value in disk.items() if name != "storageAccountType"}
    return kept | {"managedDisk": {"storageAccountType": disk["storageAccountType"]}}


def _old_disk(disk: Body, _: str) -> Body:
    kept = {name: value for name, value in disk.items() if name != "managedDisk"}
    kind = disk.get("managedDisk", {}).get("storageAccountType")
    return kept | ({"storageAccountType": kind} if kind else {})


def _old_counts(counts: Body, version: str) -> Body:
    """The total stays the sum: nodes in states that a version does not know are offline for it."""
    hidden = (name for name, since in SINCE["BatchNodeCounts"].items() if since > version)
    return counts | {"offline": counts.get("offline", 0) + sum(counts.get(name, 0) for name in hidden)}


_RESHAPED: Mapping[str, _Shape] = {
    "DataDisk": _Shape(_modern_disk, _old_disk),
    "BatchNodeCounts": _Shape(lambda counts: counts, _old_counts),
}
