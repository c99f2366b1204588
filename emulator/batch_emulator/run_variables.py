"""The environment of a task's own command."""

from __future__ import annotations

from batch_emulator import environment, instances, task_files, task_tokens
from batch_emulator.account import Account, Run


def of(account: Account, run: Run) -> dict[str, str]:
    """All variables of the command of a run."""
    task, job = run.task, run.task.job
    users = environment.settings(job.spec.get("commonEnvironmentSettings", ()))
    users |= environment.settings(run.spec.get("environmentSettings", ()))
    own = environment.node_variables(account, run.node, run.folder)
    own |= environment.task_variables(job, task.id)
    if "jobPreparationTask" in job.spec:
        own |= environment.preparation_variables(account, job, run.node)
    if "multiInstanceSettings" in run.spec:
        own |= instances.variables(account, run, run.node)
    own |= task_tokens.variables(account, task, run.spec)
    own |= task_files.variables(account, run.node, run.spec)
    return environment.combine(own, users)
