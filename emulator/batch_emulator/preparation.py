"""Job preparation and job release tasks: once a node before the job's first task there, once at the job's end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from batch_emulator import environment, retention
from batch_emulator.account import Account
from batch_emulator.directories import TaskFolder
from batch_emulator.durations import UNLIMITED
from batch_emulator.entities import Job, JobOnNode, Node, Preparing, Spec, StartTaskProgress
from batch_emulator.node_commands import NodeCommand, Plan

PREPARATION, RELEASE = "jobPreparationTask", "jobReleaseTask"
RELEASE_LIMIT = "PT15M"
REACHABLE = ("idle", "running", "offline")
COMING = ("creating", "starting", "waitingforstarttask", "rebooting", "reimaging")
"""States in which a node will be reachable soon; from any other one nobody waits for its release task."""


def folder(account: Account, job: Job, node_id: str, kind: str = PREPARATION) -> TaskFolder:
    """Where the preparation (or release) task of a job runs on a node."""
    return account.folders.task(node_id, job.id, job.spec[kind]["id"])


def is_barred(job: Job, node: Node) -> bool:
    """Whether the job's preparation failed on the node, so that no task of the job may run there."""
    entry = job.on_nodes.get(node.id)
    if entry is None or entry.preparation is None or entry.preparation.failure is None:
        return False
    return bool(job.spec[PREPARATION]["waitForSuccess"]) and _is_in_place(node, entry)


def _is_in_place(node: Node, entry: JobOnNode) -> bool:
    """False after the node was imaged again: then all that was done there is undone."""
    return node.wiped <= entry.booted


def require(account: Account, job: Job, node: Node, then: Callable[[bool], None]) -> bool:
    """Prepare a node for a job. True: go on at once; False: `then` is told later whether it succeeded."""
    spec = job.spec.get(PREPARATION)
    if spec is None:
        return True
    entry = job.on_nodes.get(node.id)
    if entry is None or _must_run_again(job, node, entry):
        entry = JobOnNode(node.address, node.booted)
        job.on_nodes[node.id] = entry
        _begin(account, job, node, spec)
    preparing = job.preparing.get(node.id)
    entry.ran_tasks = True
    if preparing is None or not spec["waitForSuccess"]:
        return True
    preparing.waiting.append(then)
    return False


def _must_run_again(job: Job, node: Node, entry: JobOnNode) -> bool:
    if node.id in job.preparing:
        return False
    done = entry.preparation
    if done is None or done.ended is None or not _is_in_place(node, entry):
        return True
    return node.booted != entry.booted and bool(job.spec[PREPARATION]["rerunOnNodeRebootAfterSuccess"])


def _begin(account: Account, job: Job, node: Node, spec: Spec) -> None:
    limits = spec["constraints"]
    plan = Plan(
        spec,
        folder(account, job, node.id),
        environment.task_variables(job, spec["id"]),
        limits["maxTaskRetryCount"],
        limits["maxWallClockTime"],
    )
    command = NodeCommand(account, job, node, plan, _prepared)
    job.preparing[node.id] = Preparing(command)
    account.clock.call_later(0, partial(_start, command))


def _start(command: NodeCommand) -> None:
    """On a turn of its own: what waits for it is then in place, however fast it ends."""
    if command.stopped:
        return
    command.begin()
    entry = command.job.on_nodes.get(command.node.id)
    if entry is not None:
        entry.preparation = command.progress
    command.account.journal.job(command.job)


def _prepared(command: NodeCommand) -> None:
    job, node, account = command.job, command.node, command.account
    preparing = job.preparing.pop(node.id, None)
    if command.stopped:
        job.on_nodes.pop(node.id, None)
    else:
        job.on_nodes[node.id].preparation = command.progress
        _retain(account, job, job.on_nodes[node.id])
    command.account.journal.job(job)
    success = command.progress.failure is None
    for then in preparing.waiting if preparing else ():
        then(success)
    account.clock.call_later(0, lambda: account.job_progress(job))


def _retain(account: Account, job: Job, entry: JobOnNode) -> None:
    """Let the files of what has ended on a node go in time."""
    for kind, progress in ((PREPARATION, entry.preparation), (RELEASE, entry.release)):
        if kind in job.spec:
            text = job.spec[kind].get("retentionTime") or job.spec[kind]["constraints"]["retentionTime"]
            place = folder(account, job, entry.address.node_id, kind)
            current = partial(_is_current, account, job, entry, progress)
            retention.expire_later(account, place, progress, text, current)


def _is_current(account: Account, job: Job, entry: JobOnNode, progress: StartTaskProgress | None) -> bool:
    """Whether it is the last that ran there, and its job has not been deleted meanwhile."""
    known = account.jobs.get(job.id.lower()) is job and job.on_nodes.get(entry.address.node_id) is entry
    return known and progress in (entry.preparation, entry.release)


def resume_retention(account: Account, job: Job) -> None:
    """After a restart: files of preparation and release tasks go when it is time."""
    for entry in job.on_nodes.values():
        _retain(account, job, entry)


def stop_preparing(job: Job) -> None:
    """End the preparation tasks of a job that ends."""
    for preparing in list(job.preparing.values()):
        preparing.command.stop()


def begin_release(account: Account, job: Job) -> None:
    """Run the release task on each node that was prepared and had tasks; `job.releasing` until all are over."""
    if job.releasing is not None:
        return
    job.releasing = set()
    if RELEASE in job.spec:
        prepared = (node_id for node_id, entry in job.on_nodes.items() if _was_prepared(entry))
        job.releasing.update(prepared)
        resume_release(account, job)


def _was_prepared(entry: JobOnNode) -> bool:
    done = entry.preparation
    released = entry.release is not None and entry.release.ended is not None
    return entry.ran_tasks and done is not None and done.ended is not None and done.failure is None and not released


def resume_release(account: Account, job: Job) -> None:
    """Start what is still to be released on nodes that can run it; forget the nodes that are gone."""
    pool = account.pools.get(job.pool_id.lower())
    for node_id in sorted(job.releasing or ()):
        node = pool.nodes.get(node_id) if pool else None
        usable = node is not None and node.state in (*REACHABLE, *COMING) and _is_in_place(node, job.on_nodes[node_id])
        if node is None or not usable:
            _forget(job, node_id)
        elif (
            node.state in REACHABLE
            and node.leaving is None
            and not any(_is_release(command, job) for command in node.side_commands)
        ):
            _release(account, job, node)


def _is_release(command: object, job: Job) -> bool:
    return isinstance(command, NodeCommand) and command.job is job


def _forget(job: Job, node_id: str) -> None:
    if job.releasing is not None:
        job.releasing.discard(node_id)


def _release(account: Account, job: Job, node: Node) -> None:
    spec = job.spec[RELEASE]
    plan = Plan(
        spec,
        folder(account, job, node.id, RELEASE),
        environment.task_variables(job, spec["id"]) | environment.preparation_variables(account, job, node),
        max_wall_clock=spec.get("maxWallClockTime", UNLIMITED),
    )
    command = NodeCommand(account, job, node, plan, _released)
    command.begin()
    job.on_nodes[node.id].release = command.progress
    account.journal.job(job)


def _released(command: NodeCommand) -> None:
    job, account = command.job, command.account
    job.on_nodes[command.node.id].release = command.progress
    _retain(account, job, job.on_nodes[command.node.id])
    if not command.stopped or command.node.state == "leavingpool":
        _forget(job, command.node.id)
    account.journal.job(job)
    # The job may be done now; on a turn of its own, because the command may have ended while it was started.
    account.clock.call_later(0, lambda: account.job_progress(job))
