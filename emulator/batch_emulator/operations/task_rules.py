"""What a new task must keep to, beyond the schema."""

from __future__ import annotations

from collections.abc import Callable

from batch_emulator import applications, output_files, resource_files, task_tokens
from batch_emulator.account import Account
from batch_emulator.entities import Job, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.operations.job_rules import check_environment

MAX_DEPENDENCY_RANGES = 1000
MAX_INSTANCES = 1000


def check_task(account: Account, job: Job, spec: Spec) -> None:
    """Refuse a task that its job cannot have, or that could do harm."""
    if "\0" in spec["commandLine"]:
        raise property_error("commandLine", spec["commandLine"], "It holds a null character.")
    for name, check in _CHECKS.items():
        if name in spec:
            check(account, job, spec)
    if "jobPreparationTask" in job.spec:
        _check_own_id(job, spec["id"])


def _check_own_id(job: Job, task_id: str) -> None:
    for name, code in _RESERVED.items():
        if name in job.spec and job.spec[name]["id"].lower() == task_id.lower():
            raise BatchError(code)


def _check_resource_files(account: Account, _: Job, spec: Spec) -> None:
    storage = account.settings.auto_storage is not None
    resource_files.check(spec["resourceFiles"], "resourceFiles", auto_storage=storage)


def _check_output_files(_: Account, __: Job, spec: Spec) -> None:
    output_files.check(spec["outputFiles"], "outputFiles")


def _check_packages(account: Account, _: Job, spec: Spec) -> None:
    name = "applicationPackageReferences"
    applications.check_of_task(account.settings.applications, spec[name], name)


def _check_environment(_: Account, __: Job, spec: Spec) -> None:
    check_environment(spec["environmentSettings"], "environmentSettings")


def _check_token(account: Account, _: Job, spec: Spec) -> None:
    task_tokens.check_settings(account, spec, "")


def _check_instances(account: Account, _: Job, spec: Spec) -> None:
    settings = spec["multiInstanceSettings"]
    if "requiredSlots" in spec:
        raise property_error("requiredSlots", spec["requiredSlots"], "A multi-instance task cannot have it.")
    count = settings.get("numberOfInstances", 1)
    if not 1 <= count <= MAX_INSTANCES:
        raise property_error("multiInstanceSettings.numberOfInstances", count, f"Expected 1 to {MAX_INSTANCES}.")
    files, storage = settings.get("commonResourceFiles", []), account.settings.auto_storage is not None
    resource_files.check(files, "multiInstanceSettings.commonResourceFiles", auto_storage=storage)


def _check_dependencies(_: Account, job: Job, spec: Spec) -> None:
    depends_on = spec["dependsOn"]
    if not job.uses_dependencies:
        raise BatchError("TaskDependenciesNotSpecifiedOnJob")
    ranges = depends_on.get("taskIdRanges", [])
    if len(ranges) > MAX_DEPENDENCY_RANGES:
        raise property_error("dependsOn.taskIdRanges", len(ranges), f"At most {MAX_DEPENDENCY_RANGES} ranges.")
    for index, entry in enumerate(ranges):
        if not 0 <= entry["start"] <= entry["end"]:
            raise property_error(f"dependsOn.taskIdRanges[{index}]", entry, "Expected 0 <= start <= end.")


def _check_exit_conditions(_: Account, job: Job, spec: Spec) -> None:
    conditions = spec["exitConditions"]
    mapped = [*conditions.get("exitCodes", ()), *conditions.get("exitCodeRanges", ())]
    options = [entry["exitOptions"] for entry in mapped]
    options += [conditions[name] for name in ("preProcessingError", "fileUploadError", "default") if name in conditions]
    for option in options:
        if "jobAction" in option and job.on_failure == "noaction":
            raise property_error("exitConditions", option, "jobAction needs a job with onTaskFailure set.")
        if "dependencyAction" in option and not job.uses_dependencies:
            raise property_error("exitConditions", option, "dependencyAction needs a job with usesTaskDependencies.")


_RESERVED = {"jobPreparationTask": "TaskIdSameAsJobPreparationTask", "jobReleaseTask": "TaskIdSameAsJobReleaseTask"}
_CHECKS: dict[str, Callable[[Account, Job, Spec], None]] = {
    "resourceFiles": _check_resource_files,
    "outputFiles": _check_output_files,
    "applicationPackageReferences": _check_packages,
    "dependsOn": _check_dependencies,
    "exitConditions": _check_exit_conditions,
    "environmentSettings": _check_environment,
    "authenticationTokenSettings": _check_token,
    "multiInstanceSettings": _check_instances,
}
