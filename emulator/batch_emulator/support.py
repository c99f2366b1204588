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


_JOB = (
    "usesTaskDependencies priority allowTaskPreemption maxParallelTasks constraints commonEnvironmentSettings poolInfo "
    "jobManagerTask jobPreparationTask jobReleaseTask onAllTasksComplete onTaskFailure"
)
_JOB_CHANGE = "priority allowTaskPreemption maxParallelTasks constraints poolInfo onAllTasksComplete"
_COMMAND = "id commandLine resourceFiles environmentSettings"
_POOL_EMPTY = "displayName virtualMachineConfiguration enableInterNodeCommunication networkConfiguration "
_START_TASK = "commandLine resourceFiles environmentSettings maxTaskRetryCount waitForSuccess"

SUPPORT: Mapping[str, Fields] = {
    "BatchPoolCreateOptions": _fields(
        "id vmSize resizeTimeout targetDedicatedNodes targetLowPriorityNodes startTask taskSlotsPerNode "
        "taskSchedulingPolicy enableAutoScale autoScaleFormula autoScaleEvaluationInterval "
        "applicationPackageReferences",
        _POOL_EMPTY + "userAccounts metadata upgradePolicy targetNodeCommunicationMode",
    ),
    "BatchPoolUpdateOptions": _fields(
        "vmSize startTask taskSlotsPerNode taskSchedulingPolicy applicationPackageReferences",
        _POOL_EMPTY + "userAccounts metadata upgradePolicy targetNodeCommunicationMode",
    ),
    "BatchPoolReplaceOptions": _fields(
        "startTask applicationPackageReferences", "metadata targetNodeCommunicationMode"
    ),
    "BatchPoolEnableAutoScaleOptions": _fields("autoScaleFormula autoScaleEvaluationInterval"),
    "BatchPoolEvaluateAutoScaleOptions": _fields("autoScaleFormula"),
    "BatchPoolResizeOptions": _fields(
        "targetDedicatedNodes targetLowPriorityNodes resizeTimeout nodeDeallocationOption"
    ),
    "BatchNodeRemoveOptions": _fields("nodeList resizeTimeout nodeDeallocationOption"),
    "BatchTaskSchedulingPolicy": _fields("nodeFillType", "jobDefaultOrder"),
    "BatchStartTask": _fields(_START_TASK, "userIdentity"),
    "BatchNodeRebootOptions": _fields("nodeRebootOption"),
    "BatchNodeReimageOptions": _fields("nodeReimageOption"),
    "BatchNodeDeallocateOptions": _fields("nodeDeallocateOption"),
    "BatchNodeUserCreateOptions": _fields("name expiryTime", "isAdmin password sshPublicKey"),
    "BatchNodeUserReplaceOptions": _fields("expiryTime", "password sshPublicKey"),
    "UploadBatchServiceLogsOptions": _fields("containerUrl startTime endTime", "identityReference"),
    "BatchNodeDisableSchedulingOptions": _fields("nodeDisableSchedulingOption"),
    "BatchJobCreateOptions": _fields(f"id {_JOB}", "displayName metadata networkConfiguration"),
    "BatchJobSpecification": _fields(_JOB, "displayName metadata networkConfiguration"),
    "BatchJobUpdateOptions": _fields(_JOB_CHANGE, "metadata networkConfiguration"),
    "BatchJob": _fields(_JOB_CHANGE, "metadata networkConfiguration"),
    "BatchJobManagerTask": _fields(
        f"{_COMMAND} outputFiles constraints requiredSlots killJobOnCompletion runExclusive "
        "applicationPackageReferences allowLowPriorityNode containerSettings authenticationTokenSettings",
        "displayName userIdentity",
    ),
    "BatchJobPreparationTask": _fields(
        f"{_COMMAND} constraints waitForSuccess rerunOnNodeRebootAfterSuccess", "userIdentity"
    ),
    "BatchJobReleaseTask": _fields(f"{_COMMAND} maxWallClockTime retentionTime", "userIdentity"),
    "BatchJobScheduleCreateOptions": _fields("id schedule jobSpecification", "displayName metadata"),
    "BatchJobScheduleUpdateOptions": _fields("schedule jobSpecification", "metadata"),
    "BatchJobSchedule": _fields("schedule jobSpecification", "metadata"),
    "BatchJobScheduleConfiguration": _fields("doNotRunUntil doNotRunAfter startWindow recurrenceInterval"),
    "BatchAutoPoolSpecification": _fields("autoPoolIdPrefix poolLifetimeOption keepAlive", "pool"),
    "BatchJobDisableOptions": _fields("disableTasks"),
    "BatchJobTerminateOptions": _fields("terminateReason"),
    "BatchJobConstraints": _fields("maxWallClockTime maxTaskRetryCount"),
    "BatchPoolInfo": _fields("poolId autoPoolSpecification"),
    "BatchTaskGroup": _fields("value"),
    "BatchTaskCreateOptions": _fields(
        "id exitConditions commandLine resourceFiles outputFiles environmentSettings constraints requiredSlots "
        "dependsOn affinityInfo multiInstanceSettings applicationPackageReferences containerSettings "
        "authenticationTokenSettings",
        "displayName userIdentity",
    ),
    "AuthenticationTokenSettings": _fields("access"),
    "BatchTask": _fields("constraints"),
    "BatchTaskConstraints": _fields("maxWallClockTime retentionTime maxTaskRetryCount"),
    "BatchTaskDependencies": _fields("taskIds taskIdRanges"),
    "BatchTaskIdRange": _fields("start end"),
    "EnvironmentSetting": _fields("name value"),
    "ResourceFile": _fields(
        "httpUrl storageContainerUrl autoStorageContainerName blobPrefix filePath fileMode identityReference"
    ),
    "BatchNodeIdentityReference": _fields("resourceId"),
    "OutputFile": _fields("filePattern destination uploadOptions"),
    "OutputFileDestination": _fields("container"),
    "OutputFileBlobContainerDestination": _fields("path containerUrl identityReference uploadHeaders"),
    "OutputFileUploadConfiguration": _fields("uploadCondition"),
    "OutputFileUploadHeader": _fields("name value"),
    "BatchAffinityInfo": _fields("affinityId"),
    "MultiInstanceSettings": _fields("numberOfInstances coordinationCommandLine commonResourceFiles"),
    "BatchApplicationPackageReference": _fields("applicationId version"),
    "BatchTaskContainerSettings": _fields(
        "", "containerRunOptions imageName registry workingDirectory containerHostBatchBindMounts"
    ),
    "ExitConditions": _fields("exitCodes exitCodeRanges preProcessingError fileUploadError default"),
    "ExitCodeMapping": _fields("code exitOptions"),
    "ExitCodeRangeMapping": _fields("start end exitOptions"),
    "ExitOptions": _fields("jobAction dependencyAction"),
}

WHY_NOT: Mapping[str, str] = {
    "mountConfiguration": "Nodes are directories of this machine, where the emulator mounts nothing. Leave it out, "
    "or mount the file system yourself and name its folder in the tasks.",
}
"""Fields that are refused for a reason of their own."""

SECRET_FIELDS = frozenset(
    "password accountKey sasKey sshPrivateKey sshPublicKey protectedSettings".split()  # noqa: SIM905
)
"""Never given back, as on Azure."""
