"""The api-versions of living clients, and what those before 2025-06-01 say differently in their requests.

Answers are the same for all versions: what is newer than a client is additional there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batch_emulator.errors import BatchError, property_error

CURRENT = "2025-06-01"
API_VERSIONS = ("2022-01-01.15.0", "2022-10-01.16.0", "2024-02-01.19.0", "2024-07-01.20.0", CURRENT)

Body = dict[str, Any]
_POOLS = frozenset(("BatchPoolCreateOptions", "BatchPoolUpdateOptions", "BatchPoolReplaceOptions"))
_TASKS = frozenset(("BatchTaskCreateOptions",))
_MODES = ("default", "classic", "simplified")


def _only_empty(reason: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if value not in (None, [], {}):
            raise BatchError("UnsupportedProperty", ("PropertyName", name), ("Reason", reason))

    return check


def _mode(name: str, value: Any) -> None:
    if value is not None and str(value).lower() not in _MODES:
        raise property_error(name, value, f"Expected one of: {', '.join(_MODES)}.")


def _no_access(name: str, value: Any) -> None:
    access = value.get("access", []) if isinstance(value, dict) else value
    _only_empty("Tokens for tasks left the service with 2025-06-01; use an identity.")(name, access)


GONE: dict[str, tuple[frozenset[str], Callable[[str, Any], None]]] = {
    "certificateReferences": (_POOLS, _only_empty("Certificates left the service in February 2024.")),
    "resourceTags": (_POOLS, _only_empty("Tags of a pool's resources left the data plane with 2025-06-01.")),
    "targetNodeCommunicationMode": (_POOLS, _mode),
    "authenticationTokenSettings": (_TASKS, _no_access),
}
"""Fields that 2025-06-01 does not have any more, where they stood, and what may be said in them."""


def modern(model: str, body: Any, version: str) -> Any:
    """A request body of an older version as 2025-06-01 writes it; that of other versions as it came."""
    if version == CURRENT or not isinstance(body, dict):
        return body
    changed = dict(body)
    for name, (models, check) in GONE.items():
        if model in models and name in changed:
            check(name, changed.pop(name))
    machine = changed.get("virtualMachineConfiguration")
    if model in _POOLS and isinstance(machine, dict) and isinstance(machine.get("dataDisks"), list):
        changed["virtualMachineConfiguration"] = machine | {"dataDisks": [_disk(disk) for disk in machine["dataDisks"]]}
    return changed


def _disk(disk: Any) -> Any:
    """A data disk's storageAccountType stands in its managedDisk since 2025-06-01."""
    if not isinstance(disk, dict) or "storageAccountType" not in disk:
        return disk
    kept = {name: value for name, value in disk.items() if name != "storageAccountType"}
    return kept | {"managedDisk": {"storageAccountType": disk["storageAccountType"]}}
