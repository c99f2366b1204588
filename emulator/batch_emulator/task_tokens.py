"""AZ_BATCH_AUTHENTICATION_TOKEN: with it, a task reaches its own job, as long as it runs."""

from __future__ import annotations

from collections.abc import Mapping

from batch_emulator.account import Account
from batch_emulator.entities import Spec, Task
from batch_emulator.errors import BatchError
from batch_emulator.oauth import Scope

SETTINGS = "authenticationTokenSettings"
VARIABLE = "AZ_BATCH_AUTHENTICATION_TOKEN"


def check_settings(account: Account, spec: Spec, path: str) -> None:
    """Refuse a task that wants a token where there are none, because bearer tokens need TLS."""
    if spec.get(SETTINGS, {}).get("access") and account.issue_token is None:
        reason = ("Reason", "Tokens of tasks need TLS: start the emulator with --oauth.")
        raise BatchError("UnsupportedProperty", ("PropertyName", f"{path}{SETTINGS}"), reason)


def variables(account: Account, task: Task, spec: Spec) -> dict[str, str]:
    """The token of a task, if it wants one."""
    if not spec.get(SETTINGS, {}).get("access") or account.issue_token is None:
        return {}
    return {VARIABLE: account.issue_token(task)}


def check(account: Account, scope: Scope, path: Mapping[str, str]) -> None:
    """Refuse what a task's token does not reach: anything but its job, and all of it once the task has ended."""
    job = account.jobs.get(scope.job_id.lower())
    task = job.tasks.get(scope.task_id.lower()) if job is not None else None
    if task is None or task not in account.runs:
        detail = "The task of the token does not run any more."
    elif path.get("jobId", "").lower() != scope.job_id.lower():
        detail = f"The token gives access to the job {scope.job_id!r} only."
    else:
        return
    raise BatchError("AuthenticationFailed", ("AuthenticationErrorDetail", detail))
