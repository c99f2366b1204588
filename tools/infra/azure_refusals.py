"""What Azure refuses that no schema says: a rehearsal must not go where Azure would not."""

from collections.abc import Mapping
from typing import Any

METRICS = {"Batch/batchAccounts": {"AllMetrics"}, "Storage/storageAccounts": {"Transaction", "Capacity"}}
"""Provider and type -> categories of metrics that it has; what is asked for besides is a 400."""
_GRANT = ("scope", "principalId", "roleDefinitionId")


def of_making(kind: str, inputs: Mapping[str, Any], others: list[Mapping[str, Any]]) -> str:
    """Why Azure does not make a resource beside those of its kind that are there; empty if it does."""
    if kind == "authorization:RoleAssignment":
        given = [tuple(other.get(name) for name in _GRANT) for other in others]
        if tuple(inputs.get(name) for name in _GRANT) in given:
            return "409 RoleAssignmentExists: the role assignment already exists"
    return of_metrics(inputs) if kind == "monitor:DiagnosticSetting" else ""


def of_changing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why Azure does not change a resource; empty if it does."""
    if kind == "consumption:Budget" and old.get("timePeriod") != new.get("timePeriod"):
        return "400: Start date of budgets cannot be updated. Please delete and create a new budget."
    return of_metrics(new) if kind == "monitor:DiagnosticSetting" else ""


def of_metrics(inputs: Mapping[str, Any]) -> str:
    """Why Azure does not send the metrics of a resource somewhere; empty if it does."""
    of = next(
        (words for part, words in METRICS.items() if f"Microsoft.{part}/" in str(inputs.get("resourceUri"))), None
    )
    asked = {str(one.get("category")) for one in inputs.get("metrics") or []}
    wrong = sorted(asked - of) if of is not None else []
    return f"400: Metric category {wrong[0]!r} is not supported" if wrong else ""
