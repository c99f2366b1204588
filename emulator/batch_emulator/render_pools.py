"""Pools and nodes as the wire shows them, with the service's defaults filled in."""

from __future__ import annotations

from typing import Any

from batch_emulator import statistics
from batch_emulator.account import Account
from batch_emulator.durations import timestamp
from batch_emulator.entities import Failure, Node, Pool
from batch_emulator.paging import Select, select_fields
from batch_emulator.render import execution_fields, present, progress_fields, task_url
from batch_emulator.wire import etag

Fields = dict[str, Any]

_FILL_TYPES = {"spread": "Spread", "pack": "Pack"}


def pool_fields(account: Account, pool: Pool, wanted: Select = None, *, stats: bool = False) -> Fields:
    """A pool."""
    dedicated = sum(node.dedicated for node in pool.nodes.values())
    fields: Fields = {
        "id": pool.id,
        "displayName": pool.spec.get("displayName"),
        "url": f"{account.url}/pools/{pool.id}",
        "eTag": etag(pool.modified),
        "lastModified": timestamp(pool.modified),
        "creationTime": timestamp(pool.created),
        "state": pool.state,
        "stateTransitionTime": timestamp(pool.state_since),
        "allocationState": pool.allocation,
        "allocationStateTransitionTime": timestamp(pool.allocation_since),
        "vmSize": pool.vm_size,
        "resizeTimeout": pool.resize_timeout,
        "resizeErrors": [_resize_error(error) for error in pool.resize_errors] or None,
        "currentDedicatedNodes": dedicated,
        "targetDedicatedNodes": pool.target_dedicated,
        "currentLowPriorityNodes": len(pool.nodes) - dedicated,
        "targetLowPriorityNodes": pool.target_low_priority,
        "enableAutoScale": pool.auto_scale,
        "autoScaleFormula": pool.formula,
        "autoScaleEvaluationInterval": pool.interval if pool.auto_scale else None,
        "autoScaleRun": pool.last_run,
        "enableInterNodeCommunication": pool.spec.get("enableInterNodeCommunication", False),
        "startTask": pool.start_task,
        "taskSlotsPerNode": pool.slots_per_node,
        "taskSchedulingPolicy": present(
            {"nodeFillType": _FILL_TYPES[pool.fill], "jobDefaultOrder": pool.spec.get("jobDefaultOrder")}
        ),
    }
    for name in ("userAccounts", "metadata", "networkConfiguration", "upgradePolicy", "applicationPackageReferences"):
        fields[name] = pool.spec.get(name)
    fields["targetNodeCommunicationMode"] = pool.spec.get("targetNodeCommunicationMode")
    fields["virtualMachineConfiguration"] = pool.spec.get("virtualMachineConfiguration")
    if stats:
        fields["stats"] = statistics.of_pool(account, pool, fields["url"])
    return select_fields(fields, wanted)


def _resize_error(failure: Failure) -> Fields:
    values = [{"name": name, "value": value} for name, value in failure.details]
    return {"code": failure.code, "message": failure.message, "values": values}


def node_url(account: Account, node: Node) -> str:
    """Where a node is found."""
    return f"{account.url}/pools/{node.pool.id}/nodes/{node.id}"


def node_fields(account: Account, node: Node, wanted: Select = None) -> Fields:
    """A node."""
    image = (node.pool.spec.get("virtualMachineConfiguration") or {}).get("imageReference", {})
    recent = [
        {
            "taskUrl": task_url(account, task),
            "jobId": task.job.id,
            "taskId": task.id,
            "taskState": task.state,
            "executionInfo": execution_fields(task),
        }
        for task in node.recent
    ]
    fields: Fields = {
        "id": node.id,
        "url": node_url(account, node),
        "state": node.state,
        "schedulingState": node.scheduling,
        "stateTransitionTime": timestamp(node.state_since),
        "lastBootTime": timestamp(node.booted),
        "allocationTime": timestamp(node.allocated),
        "ipAddress": node.ip,
        "ipv6Address": "",
        "affinityId": f"TVM:{node.id}",
        "vmSize": node.pool.vm_size,
        "totalTasksRun": node.total_run,
        "totalTasksSucceeded": node.total_succeeded,
        "runningTasksCount": len(node.running),
        "runningTaskSlotsCount": sum(task.required_slots for task in node.running),
        "recentTasks": recent or None,
        "startTask": node.start_task,
        "startTaskInfo": _start_task_fields(node),
        "errors": [_node_error(error) for error in node.errors] or None,
        "isDedicated": node.dedicated,
        "nodeAgentInfo": {"lastUpdateTime": timestamp(node.booted), "version": "1.13.0"},
        "virtualMachineInfo": {"imageReference": image},
    }
    return select_fields(fields, wanted)


def _node_error(failure: Failure) -> Fields:
    details = [{"name": name, "value": value} for name, value in failure.details]
    return {"code": failure.code, "message": failure.message, "errorDetails": details}


def _start_task_fields(node: Node) -> Fields | None:
    progress = node.start_task_progress
    return progress_fields(progress) if progress is not None else None
