"""Which fields of a request body the emulator acts upon, and which it only records.

A field that stands in the schema but not here is refused with a message that names it: nothing is ignored.
An *acted* field that is an object is checked against its own row; a *recorded* field is checked against the
schema only and given back as it came, because it describes something that has no meaning on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fields:
    """The supported fields of one model."""

    acted: frozenset[str]
    recorded: frozenset[str]


def _fields(acted: str, recorded: str = "") -> Fields:
    return Fields(frozenset(acted.split()), frozenset(recorded.split()))


_JOB = "id usesTaskDependencies priority maxParallelTasks constraints commonEnvironmentSettings poolInfo "
_POOL_EMPTY = "displayName virtualMachineConfiguration enableInterNodeCommunication networkConfiguration "
_START_TASK = "commandLine resourceFiles environmentSettings maxTaskRetryCount waitForSuccess"

SUPPORT: Mapping[str, Fields] = {
    "BatchPoolCreateOptions": _fields(
        "id vmSize resizeTimeout targetDedicatedNodes targetLowPriorityNodes startTask taskSlotsPerNode "
        "taskSchedulingPolicy",
        _POOL_EMPTY + "userAccounts metadata upgradePolicy",
    ),
    "BatchPoolUpdateOptions": _fields(
        "vmSize startTask taskSlotsPerNode taskSchedulingPolicy",
        _POOL_EMPTY + "userAccounts metadata upgradePolicy",
    ),
    "BatchPoolReplaceOptions": _fields("startTask", "metadata"),
    "BatchPoolResizeOptions": _fields(
        "targetDedicatedNodes targetLowPriorityNodes resizeTimeout nodeDeallocationOption"
    ),
    "BatchNodeRemoveOptions": _fields("nodeList resizeTimeout nodeDeallocationOption"),
    "BatchTaskSchedulingPolicy": _fields("nodeFillType", "jobDefaultOrder"),
    "BatchStartTask": _fields(_START_TASK, "userIdentity"),
    "BatchNodeRebootOptions": _fields("nodeRebootOption"),
    "BatchNodeDisableSchedulingOptions": _fields("nodeDisableSchedulingOption"),
    "BatchJobCreateOptions": _fields(
        _JOB + "onAllTasksComplete onTaskFailure", "displayName metadata networkConfiguration"
    ),
    "BatchJobUpdateOptions": _fields(
        "priority maxParallelTasks constraints poolInfo onAllTasksComplete", "metadata networkConfiguration"
    ),
    "BatchJob": _fields(
        "priority maxParallelTasks constraints poolInfo onAllTasksComplete", "metadata networkConfiguration"
    ),
    "BatchJobDisableOptions": _fields("disableTasks"),
    "BatchJobTerminateOptions": _fields("terminateReason"),
    "BatchJobConstraints": _fields("maxWallClockTime maxTaskRetryCount"),
    "BatchPoolInfo": _fields("poolId"),
    "BatchTaskGroup": _fields("value"),
    "BatchTaskCreateOptions": _fields(
        "id exitConditions commandLine resourceFiles environmentSettings constraints requiredSlots dependsOn",
        "displayName affinityInfo userIdentity",
    ),
    "BatchTask": _fields("constraints"),
    "BatchTaskConstraints": _fields("maxWallClockTime retentionTime maxTaskRetryCount"),
    "BatchTaskDependencies": _fields("taskIds taskIdRanges"),
    "BatchTaskIdRange": _fields("start end"),
    "EnvironmentSetting": _fields("name value"),
    "ResourceFile": _fields("httpUrl filePath fileMode"),
    "ExitConditions": _fields("exitCodes exitCodeRanges preProcessingError fileUploadError default"),
    "ExitCodeMapping": _fields("code exitOptions"),
    "ExitCodeRangeMapping": _fields("start end exitOptions"),
    "ExitOptions": _fields("jobAction dependencyAction"),
}

SECRET_FIELDS = frozenset(
    "password accountKey sasKey sshPrivateKey sshPublicKey protectedSettings".split()  # noqa: SIM905
)
"""Never given back, as on Azure."""
