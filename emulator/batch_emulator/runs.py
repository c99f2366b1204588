"""The life of a task on a node: start, retry, end, and why it ended."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

from batch_emulator import environment, queues, resource_files
from batch_emulator.account import Account, Run
from batch_emulator.directories import TaskFolder
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Failure, Node, Spec, Task, move_node, move_task
from batch_emulator.launcher import Command, LaunchError, split_command

TERMINATE = "terminate"
REQUEUE = "requeue"
TIMEOUT = "timeout"

_USER_ENDED = "Task Was Ended by User Request"
ENDED = Failure("usererror", "TaskEnded", _USER_ENDED)
TIMED_OUT = Failure(
    "usererror",
    "TaskEnded",
    _USER_ENDED,
    (("Message", "The maximum execution time configured on the task was exceeded"),),
)
_EXIT_MESSAGE = "The task exited with an exit code representing a failure"
FAILED = Failure(
    "usererror",
    "FailureExitCode",
    _EXIT_MESSAGE,
    (("Message", _EXIT_MESSAGE), ("AdditionalErrorCode", "FailureExitCode")),
)
PREPROCESSING_CODES = frozenset(
    (
        "CommandProgramNotFound",
        "CommandLaunchFailed",
        "ResourceDirectoryCreateFailed",
        "BlobNotFound",
        "BlobAccessDenied",
        "BlobDownloadMiscError",
    )
)


def start(account: Account, task: Task, node: Node) -> None:
    """Give an active task its slots on a node and start it there."""
    run = Run(task, node)
    account.runs[task] = run
    node.running.add(task)
    node.free_slots -= task.required_slots
    task.job.occupied.add(task)
    if node.state == "idle":
        move_node(node, "running", account.now())
    task.address = node.address
    task.started = task.ended = task.exit_code = task.failure = None
    spec: Spec = json.loads(task.spec)
    folder = account.folders.task(node.id, task.job.id, task.id)
    files = spec.get("resourceFiles")
    move_task(task, "preparing" if files else "running", account.now())
    try:
        account.folders.discard(folder.root)
        folder.make()
    except OSError as error:
        _fail_to_start(account, run, "ResourceDirectoryCreateFailed", str(error))
        return
    if files:
        _fetch(account, run, spec, folder)
    else:
        _launch(account, run, spec, folder)


def _fetch(account: Account, run: Run, spec: Spec, folder: TaskFolder) -> None:
    run.fetching = True
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, resource_files.fetch, spec["resourceFiles"], Path(folder.wd))
    future.add_done_callback(partial(_fetched, account, run, spec, folder))


def _fetched(account: Account, run: Run, spec: Spec, folder: TaskFolder, future: asyncio.Future[None]) -> None:
    run.fetching = False
    if future.cancelled() or account.runs.get(run.task) is not run:
        return
    error = future.exception()
    if run.ending:
        _close(account, run, None)
    elif isinstance(error, resource_files.ResourceFileError):
        _complete(account, run, error.failure)
    elif error is not None:
        _fail_to_start(account, run, "BlobDownloadMiscError", str(error))
    else:
        move_task(run.task, "running", account.now())
        _launch(account, run, spec, folder)


def _launch(account: Account, run: Run, spec: Spec, folder: TaskFolder) -> None:
    task, node = run.task, run.node
    task.started = account.now()
    users = environment.settings(task.job.spec.get("commonEnvironmentSettings", ()))
    users |= environment.settings(spec.get("environmentSettings", ()))
    own = environment.node_variables(account, node, folder)
    own |= environment.task_variables(task.job, task.id)
    try:
        arguments = split_command(spec["commandLine"])
        command = Command(arguments, folder.wd, environment.combine(own, users), folder.stdout, folder.stderr)
        run.process = account.launcher.launch(command, partial(_ended, account, run, spec, folder))
    except LaunchError as error:
        code = "CommandProgramNotFound" if error.not_found else "CommandLaunchFailed"
        _fail_to_start(account, run, code, str(error))
    except OSError as error:
        _fail_to_start(account, run, "CommandLaunchFailed", str(error))
    else:
        _limit(account, run)
        account.journal.task(task)


def _limit(account: Account, run: Run) -> None:
    limit = run.task.constraints.max_wall_clock
    if limit != UNLIMITED:
        run.limit = account.clock.call_later(duration_seconds(limit), lambda: stop(account, run, TIMEOUT))


_START_FAILURES = {
    "CommandProgramNotFound": "The specified command program is not found",
    "CommandLaunchFailed": "Failed to launch the specified command line",
    "ResourceDirectoryCreateFailed": "Failure encountered creating resource directory for the task",
    "BlobDownloadMiscError": "Miscellaneous error encountered while downloading a resource file",
}


def _fail_to_start(account: Account, run: Run, code: str, reason: str) -> None:
    failure = Failure("usererror", code, _START_FAILURES[code], (("Message", reason),))
    _complete(account, run, failure)


def stop(account: Account, run: Run, ending: str) -> None:
    """End a run from outside; what becomes of the task is in `ending`. The first reason stays."""
    if run.ending is None:
        run.ending = ending
    if run.process is not None:
        run.process.stop()
    elif not run.fetching:
        _close(account, run, None)


def _ended(account: Account, run: Run, spec: Spec, folder: TaskFolder, code: int) -> None:
    run.process = None
    if run.limit is not None:
        run.limit.cancel()
    task = run.task
    if run.ending is not None:
        _close(account, run, code)
    elif code == 0:
        task.exit_code = 0
        _complete(account, run, None)
    elif task.constraints.max_retries == -1 or task.retries < task.constraints.max_retries:
        _retry(account, run, spec, folder)
    else:
        task.exit_code = code
        _complete(account, run, FAILED)


def _retry(account: Account, run: Run, spec: Spec, folder: TaskFolder) -> None:
    """Run the command once more, in its place; the more often it failed the later."""
    task = run.task
    task.retries += 1
    task.last_retry = account.now()
    account.journal.task(task)

    def again() -> None:
        if account.runs.get(task) is run and run.process is None:
            _launch(account, run, spec, folder)

    account.clock.call_later(min(5.0, 0.02 * task.retries * task.retries), again)


def _close(account: Account, run: Run, code: int | None) -> None:
    """A run that was stopped has ended."""
    task = run.task
    task.exit_code = code
    if run.ending == REQUEUE:
        _requeue(account, run)
    else:
        _complete(account, run, TIMED_OUT if run.ending == TIMEOUT else ENDED)


def _requeue(account: Account, run: Run) -> None:
    requeue_lost(account, run.task)
    _release(account, run)
    account.task_requeued(run.task)
    account.schedule(run.task.job.pool_id)


def requeue_lost(account: Account, task: Task) -> None:
    """Put a task whose node is gone (or taken away) back to the front of its queue; no retry is counted."""
    task.requeues += 1
    task.last_requeue = account.now()
    task.started = task.ended = task.exit_code = task.failure = task.address = None
    move_task(task, "active", account.now())
    account.journal.task(task)
    queues.push(task, first=True)


def _complete(account: Account, run: Run, failure: Failure | None) -> None:
    task, node = run.task, run.node
    complete(account, task, failure)
    node.total_run += 1
    node.total_succeeded += failure is None
    node.recent.append(task)
    if run.limit is not None:
        run.limit.cancel()
    _retain(account, run)
    _release(account, run)
    account.task_completed(task)


def complete(account: Account, task: Task, failure: Failure | None) -> None:
    """Move a task to completed with its result; dependants and the job are told by the caller."""
    now = account.now()
    task.ended = now
    task.started = task.started or now
    task.failure = failure
    task.result = "success" if failure is None else "failure"
    move_task(task, "completed", now)
    account.journal.task(task)


def _retain(account: Account, run: Run) -> None:
    retention = run.task.constraints.retention
    if retention not in ("P7D", UNLIMITED):
        task = run.task

        def expire() -> None:
            if task not in account.runs:
                remove_folder(account, task)

        account.clock.call_later(duration_seconds(retention), expire)


def remove_folder(account: Account, task: Task) -> None:
    """Delete the files of a task that does not run."""
    if task.address is not None:
        account.folders.discard(account.folders.task(task.address.node_id, task.job.id, task.id).root)


def _release(account: Account, run: Run) -> None:
    node, task = run.node, run.task
    del account.runs[task]
    node.running.discard(task)
    node.free_slots += task.required_slots
    task.job.occupied.discard(task)
    if node.state == "running" and not node.running:
        move_node(node, "idle", account.now())
    account.slots_freed(node)
