"""What sets a task apart from an ordinary one, read off its spec and its job."""

from __future__ import annotations

from batch_emulator.entities import Job, Spec, Task, Traits

LEADER = "jobManagerTask"


def of(job: Job, task_id: str, spec: Spec) -> Traits | None:
    """The traits of a task; None for an ordinary one."""
    leader = job.spec.get(LEADER)
    affinity = spec.get("affinityInfo", {}).get("affinityId")
    if leader is not None and leader["id"].lower() == task_id.lower():
        return Traits(
            leads=True,
            ends_job=leader["killJobOnCompletion"],
            exclusive=leader["runExclusive"],
            dedicated_only=not leader["allowLowPriorityNode"],
            affinity=affinity,
        )
    multiple = spec.get("multiInstanceSettings")
    if multiple is not None:
        return Traits(exclusive=True, instances=multiple.get("numberOfInstances", 1), affinity=affinity)
    if affinity:
        return Traits(affinity=affinity)
    return None


def is_special(task: Task) -> bool:
    """Whether slots alone do not say where the task may run."""
    traits = task.traits
    return traits is not None and (traits.exclusive or traits.dedicated_only or traits.instances > 0)
