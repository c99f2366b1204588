"""What a new task must keep to, beyond the schema."""

from __future__ import annotations

from batch_emulator import resource_files
from batch_emulator.entities import Job, Spec
from batch_emulator.errors import BatchError, property_error

MAX_DEPENDENCY_RANGES = 1000


def check_task(job: Job, spec: Spec) -> None:
    """Refuse a task that its job cannot have, or that could do harm."""
    files = spec.get("resourceFiles")
    if files:
        resource_files.check(files, "resourceFiles")
    if "dependsOn" in spec:
        _check_dependencies(job, spec["dependsOn"])
    if "exitConditions" in spec:
        _check_exit_conditions(job, spec["exitConditions"])
    for index, entry in enumerate(spec.get("environmentSettings", ())):
        if not entry["name"] or "=" in entry["name"] or "\0" in entry["name"] + entry.get("value", ""):
            raise property_error(f"environmentSettings[{index}].name", entry["name"], "Not a variable's name.")
    if "\0" in spec["commandLine"]:
        raise property_error("commandLine", spec["commandLine"], "It holds a null character.")


def _check_dependencies(job: Job, depends_on: Spec) -> None:
    if not job.uses_dependencies:
        raise BatchError("TaskDependenciesNotSpecifiedOnJob")
    ranges = depends_on.get("taskIdRanges", [])
    if len(ranges) > MAX_DEPENDENCY_RANGES:
        raise property_error("dependsOn.taskIdRanges", len(ranges), f"At most {MAX_DEPENDENCY_RANGES} ranges.")
    for index, entry in enumerate(ranges):
        if not 0 <= entry["start"] <= entry["end"]:
            raise property_error(f"dependsOn.taskIdRanges[{index}]", entry, "Expected 0 <= start <= end.")


def _check_exit_conditions(job: Job, conditions: Spec) -> None:
    mapped = [*conditions.get("exitCodes", ()), *conditions.get("exitCodeRanges", ())]
    options = [entry["exitOptions"] for entry in mapped]
    options += [conditions[name] for name in ("preProcessingError", "fileUploadError", "default") if name in conditions]
    for option in options:
        if "jobAction" in option and job.on_failure == "noaction":
            raise property_error("exitConditions", option, "jobAction needs a job with onTaskFailure set.")
        if "dependencyAction" in option and not job.uses_dependencies:
            raise property_error("exitConditions", option, "dependencyAction needs a job with usesTaskDependencies.")
