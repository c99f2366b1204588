"""The life of a node: creating, starting, its start task, reboot, and leaving the pool."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from batch_emulator import environment, resource_files, runs
from batch_emulator.account import Account
from batch_emulator.entities import (
    Failure,
    Leaving,
    Node,
    NodeAddress,
    Pool,
    Spec,
    StartTaskProgress,
    move_allocation,
    move_node,
)
from batch_emulator.errors import BatchError
from batch_emulator.launcher import Command, LaunchError, split_command

SCHEDULABLE = ("idle", "running")


def create(account: Account, pool: Pool, *, dedicated: bool) -> Node:
    """Add a node to a pool; it starts by itself."""
    now = account.now()
    node_id = f"tvmps_{secrets.token_hex(32)}_{'d' if dedicated else 'p'}"
    number = account.next_node + 3
    account.next_node += 1
    node = Node(
        pool=pool,
        id=node_id,
        address=NodeAddress(pool.id, node_id),
        ip=f"10.{number // 65_536 % 256}.{number // 256 % 256}.{number % 256}",
        dedicated=dedicated,
        allocated=now,
        booted=now,
        state_since=now,
        free_slots=pool.slots_per_node,
    )
    pool.nodes[node_id] = node
    account.folders.make_node(node_id)
    _later(account, node, "creating", lambda: _boot(account, node))
    return node


def _later(account: Account, node: Node, state: str, step: Callable[[], None]) -> None:
    """Take `step` after the node delay, if the node is then still there and in `state`."""

    def take() -> None:
        if node.pool.nodes.get(node.id) is node and node.state == state:
            step()

    account.clock.call_later(account.settings.node_delay, take)


def _boot(account: Account, node: Node) -> None:
    move_node(node, "starting", account.now())
    node.booted = account.now()
    _later(account, node, "starting", lambda: _booted(account, node))


def _booted(account: Account, node: Node) -> None:
    node.start_task = node.pool.start_task
    node.start_task_progress = None
    node.errors.clear()
    if node.start_task is None:
        become_idle(account, node)
        return
    if node.start_task.get("waitForSuccess", True):
        move_node(node, "waitingforstarttask", account.now())
        _begin_start_task(account, node, node.start_task)
    else:
        become_idle(account, node)
        _begin_start_task(account, node, node.start_task)


def become_idle(account: Account, node: Node) -> None:
    """The node can run tasks."""
    move_node(node, "idle", account.now())
    account.journal.pool(node.pool)
    account.schedule(node.pool.id)


def _begin_start_task(account: Account, node: Node, spec: Spec) -> None:
    node.start_task_progress = StartTaskProgress(started=account.now())
    folder = account.folders.start_task(node.id)
    folder.make()
    files = spec.get("resourceFiles")
    if not files:
        _launch_start_task(account, node, spec)
        return
    future = asyncio.get_running_loop().run_in_executor(None, resource_files.fetch, files, Path(folder.wd))
    future.add_done_callback(partial(_start_task_fetched, account, node, spec))


def _start_task_fetched(account: Account, node: Node, spec: Spec, future: asyncio.Future[None]) -> None:
    if future.cancelled() or node.pool.nodes.get(node.id) is not node:
        return
    error = future.exception()
    if isinstance(error, resource_files.ResourceFileError):
        _end_start_task(account, node, None, error.failure)
    elif error is not None:
        failure = Failure("usererror", "BlobDownloadMiscError", str(error))
        _end_start_task(account, node, None, failure)
    else:
        _launch_start_task(account, node, spec)


def _launch_start_task(account: Account, node: Node, spec: Spec) -> None:
    folder = account.folders.start_task(node.id)
    own = environment.node_variables(account, node, folder)
    users = environment.settings(spec.get("environmentSettings", ()))
    progress = node.start_task_progress
    try:
        arguments = split_command(spec["commandLine"])
        command = Command(arguments, folder.wd, environment.combine(own, users), folder.stdout, folder.stderr)
        node.start_process = account.launcher.launch(
            command, lambda code: _start_task_ended(account, node, progress, code)
        )
    except LaunchError as error:
        code = "CommandProgramNotFound" if error.not_found else "CommandLaunchFailed"
        _end_start_task(account, node, None, Failure("usererror", code, str(error)))
    except OSError as error:
        _end_start_task(account, node, None, Failure("usererror", "CommandLaunchFailed", str(error)))


def _start_task_ended(account: Account, node: Node, progress: StartTaskProgress | None, code: int) -> None:
    node.start_process = None
    if node.pool.nodes.get(node.id) is not node or progress is None:
        return
    if node.leaving is not None or node.start_task_progress is not progress:
        finish_leaving(account, node)
        return
    spec = node.start_task or {}
    limit = spec.get("maxTaskRetryCount", 0)
    if code != 0 and (limit == -1 or progress.retries < limit):
        progress.retries += 1
        progress.last_retry = account.now()
        pause = min(5.0, 0.02 * progress.retries * progress.retries)
        account.clock.call_later(pause, lambda: _retry_start_task(account, node, progress, spec))
        return
    _end_start_task(account, node, code, runs.FAILED if code else None)


def _retry_start_task(account: Account, node: Node, progress: StartTaskProgress, spec: Spec) -> None:
    if node.pool.nodes.get(node.id) is node and node.start_task_progress is progress and not node.leaving:
        _launch_start_task(account, node, spec)


def _end_start_task(account: Account, node: Node, code: int | None, failure: Failure | None) -> None:
    progress = node.start_task_progress
    if progress is None:
        return
    progress.ended = account.now()
    progress.exit_code = code
    progress.failure = failure
    if node.state != "waitingforstarttask":
        return
    if failure is None:
        become_idle(account, node)
    else:
        move_node(node, "starttaskfailed", account.now())


def leave(account: Account, node: Node, option: str, then: str = "leave") -> None:
    """Take a node out of service as `option` says of its tasks; `then` it leaves or reboots."""
    if node.leaving is not None and node.leaving.then == "leave":
        return
    node.leaving = Leaving(option, then)
    if option != "taskcompletion":
        if then == "leave":
            move_node(node, "leavingpool", account.now())
        for task in list(node.running):
            runs.stop(account, account.runs[task], option)
    finish_leaving(account, node)


def finish_leaving(account: Account, node: Node) -> None:
    """If a node is to leave or reboot and nothing runs on it any more, let it."""
    if node.leaving is None or node.running or node.pool.nodes.get(node.id) is not node:
        return
    if node.start_process is not None:
        node.start_process.stop()
        return
    if node.leaving.then == "leave":
        _remove(account, node)
    else:
        node.leaving = None
        move_node(node, "rebooting", account.now())
        _later(account, node, "rebooting", lambda: _boot(account, node))


def _remove(account: Account, node: Node) -> None:
    if node.state != "leavingpool":
        move_node(node, "leavingpool", account.now())
    del node.pool.nodes[node.id]
    account.folders.discard(account.folders.node(node.id))
    account.journal.pool(node.pool)
    settle_pool(account, node.pool)


def settle_pool(account: Account, pool: Pool) -> None:
    """A pool that has the nodes it should have, and none on its way out, is steady; a deleted one is gone."""
    if pool.state == "deleting":
        if not pool.nodes:
            account.pools.pop(pool.id.lower(), None)
            account.journal.pool_gone(pool)
        return
    staying = [node for node in pool.nodes.values() if node.leaving is None or node.leaving.then != "leave"]
    dedicated = sum(node.dedicated for node in staying)
    complete = dedicated >= pool.target_dedicated and len(staying) - dedicated >= pool.target_low_priority
    settled = len(staying) == len(pool.nodes) and (complete or pool.allocation == "stopping")
    if settled and pool.allocation != "steady":
        move_allocation(pool, "steady", account.now())
        account.journal.pool(pool)


def slots_freed(account: Account, node: Node) -> None:
    """A task has given its slots back: the node may go, or take another task."""
    if node.leaving is not None:
        finish_leaving(account, node)
    account.schedule(node.pool.id)


def reboot(account: Account, node: Node, option: str) -> None:
    """Restart a node; its files stay, its start task runs again."""
    if node.state not in (*SCHEDULABLE, "starttaskfailed"):
        raise BatchError("OperationNotValidOnNode", ("State", node.state))
    leave(account, node, option, then="reboot")


def disable_scheduling(account: Account, node: Node, option: str) -> None:
    """Give a node no more tasks; what runs there is requeued, terminated or left to end."""
    if node.scheduling == "disabled":
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    node.scheduling = "disabled"
    account.journal.pool(node.pool)
    if option != "taskcompletion":
        for task in list(node.running):
            runs.stop(account, account.runs[task], option)


def enable_scheduling(account: Account, node: Node) -> None:
    """Let a node take tasks again."""
    if node.scheduling == "enabled":
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    node.scheduling = "enabled"
    account.journal.pool(node.pool)
    account.schedule(node.pool.id)
