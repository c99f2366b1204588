"""The environment of a task: a minimal base, the node's, the job's, the task's, Azure's variables."""

from __future__ import annotations

import os
from collections.abc import Iterable

from batch_emulator.account import Account
from batch_emulator.directories import TaskFolder
from batch_emulator.entities import Job, Node, Spec

_BASE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "SHELL": "/bin/sh",
}


def settings(entries: Iterable[Spec]) -> dict[str, str]:
    """An environmentSettings array as a mapping."""
    return {entry["name"]: entry.get("value", "") for entry in entries}


def node_variables(account: Account, node: Node, folder: TaskFolder) -> dict[str, str]:
    """What any command on a node is given before the user's own settings."""
    root = account.folders.node(node.id)
    wd = folder.wd
    return {
        **_BASE,
        "USER": os.environ.get("USER", "batch"),
        "HOME": wd,
        **account.settings.node_environment,
        "AZ_BATCH_ACCOUNT_NAME": account.settings.account_name,
        "AZ_BATCH_ACCOUNT_URL": account.url + "/",
        "AZ_BATCH_POOL_ID": node.pool.id,
        "AZ_BATCH_NODE_ID": node.id,
        "AZ_BATCH_NODE_IS_DEDICATED": "true" if node.dedicated else "false",
        "AZ_BATCH_NODE_ROOT_DIR": root,
        "AZ_BATCH_NODE_SHARED_DIR": root + "/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": root + "/startup",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": root + "/startup/wd",
        "AZ_BATCH_NODE_MOUNTS_DIR": root + "/fsmounts",
        "AZ_BATCH_TASK_DIR": folder.root,
        "AZ_BATCH_TASK_WORKING_DIR": wd,
    }


def task_variables(job: Job, task_id: str) -> dict[str, str]:
    """The variables that name a task of a job."""
    return {"AZ_BATCH_JOB_ID": job.id, "AZ_BATCH_TASK_ID": task_id}


def preparation_variables(account: Account, job: Job, node: Node) -> dict[str, str]:
    """Where the job's preparation task ran on the node, for all other tasks of the job."""
    folder = account.folders.task(node.id, job.id, job.spec["jobPreparationTask"]["id"])
    return {"AZ_BATCH_JOB_PREP_DIR": folder.root, "AZ_BATCH_JOB_PREP_WORKING_DIR": folder.wd}


def combine(own: dict[str, str], users: dict[str, str]) -> dict[str, str]:
    """The user's settings over the base, Azure's variables over both."""
    reserved = {name: value for name, value in own.items() if name.startswith("AZ_BATCH_")}
    return {**own, **users, **reserved}
