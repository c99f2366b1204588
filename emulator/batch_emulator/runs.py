"""How a task comes to run on a node: prepare, fetch, coordinate, start; and how it is stopped."""

from __future__ import annotations

import json
from functools import partial

from batch_emulator import endings, failures, instances, preparation, run_variables, task_files
from batch_emulator.account import Account, Run
from batch_emulator.commands import Command, LaunchError, split_command
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.endings import GIVE_BACK, TIMEOUT
from batch_emulator.entities import Failure, Node, Spec, Task
from batch_emulator.moves import move_node, move_task

EMPTY_COMMAND = "/bin/true"
"""What an empty command line with container settings runs: the image's own program is not there."""


def start(account: Account, task: Task, nodes: list[Node]) -> None:
    """Give an active task its slots, on one node or on one for each instance, and start it there."""
    spec: Spec = json.loads(task.spec)
    node = nodes[0]
    folder = account.folders.task(node.id, task.job.id, task.id)
    run = Run(task, nodes, spec, folder)
    run.again = partial(_coordinate, account, run)
    account.runs[task] = run
    task.job.occupied.add(task)
    for each in nodes:
        each.running.add(task)
        each.free_slots -= endings.slots_on(task, each)
        if each.state == "idle":
            move_node(each, "running", account.now())
    task.address = node.address
    task.started = task.ended = task.exit_code = task.failure = None
    slow = task_files.any_needed(spec) or "multiInstanceSettings" in spec or "jobPreparationTask" in task.job.spec
    move_task(task, "preparing" if slow else "running", account.now())
    try:
        for each in nodes:
            account.folders.discard(account.folders.task(each.id, task.job.id, task.id).root)
        if slow:
            folder.make()  # else the launcher does it, beside the event loop
    except OSError as error:
        endings.complete(account, run, failures.before_start("ResourceDirectoryCreateFailed", str(error)))
        return
    if slow:
        _await_preparation(account, run)
    else:
        _launch(account, run)


def _await_preparation(account: Account, run: Run) -> None:
    job = run.task.job
    for node in run.nodes:
        then = partial(_prepared, account, run, node)
        if not preparation.require(account, job, node, then):
            run.waiting.add(node.id)
    if not run.waiting:
        _fetch(account, run)


def _prepared(account: Account, run: Run, node: Node, success: bool) -> None:
    if account.runs.get(run.task) is not run or node.id not in run.waiting:
        return
    run.waiting.discard(node.id)
    if not success:
        stop(account, run, GIVE_BACK)
    elif not run.waiting:
        _fetch(account, run)


def _fetch(account: Account, run: Run) -> None:
    if not task_files.any_needed(run.spec):
        _coordinate(account, run)
        return
    run.busy = True
    account.background.run(task_files.fetching(account, run), partial(_fetched, account, run))


def _fetched(account: Account, run: Run, error: BaseException | None) -> None:
    run.busy = False
    if run.ending:
        endings.close(account, run, None)
    elif error is not None:
        endings.complete(account, run, failures.of_files(error))
    else:
        _coordinate(account, run)


def _coordinate(account: Account, run: Run) -> None:
    if "multiInstanceSettings" in run.spec:
        instances.coordinate(account, run, partial(_coordinated, account, run))
    else:
        _begin_command(account, run)


def _coordinated(account: Account, run: Run, code: int | None, failure: Failure | None) -> None:
    if run.ending is not None:
        endings.close(account, run, None)
    elif failure is None:
        _begin_command(account, run)
    elif code is not None:
        endings.judge(account, run, code)
    else:
        endings.complete(account, run, failure)


def _begin_command(account: Account, run: Run) -> None:
    if run.task.state == "preparing":
        move_task(run.task, "running", account.now())
    _launch(account, run)


def _launch(account: Account, run: Run) -> None:
    task, folder = run.task, run.folder
    task.started = account.now()
    empty = EMPTY_COMMAND if "containerSettings" in run.spec else ""
    ended, failed = partial(endings.ended, account, run), partial(_not_started, account, run)
    try:
        arguments = split_command(run.spec["commandLine"] or empty)
        command = Command(arguments, folder.wd, run_variables.of(account, run), folder.stdout, folder.stderr)
        run.process = account.launcher.launch(command, ended, failed)
    except LaunchError as error:
        _fail_to_start(account, run, error.code, str(error))
    except OSError as error:
        _fail_to_start(account, run, "CommandLaunchFailed", str(error))
    else:
        _limit(account, run)
        account.journal.task(task)


def _not_started(account: Account, run: Run, error: LaunchError) -> None:
    run.process = None
    if run.ending is not None:
        endings.close(account, run, None)
    else:
        _fail_to_start(account, run, error.code, str(error))


def _fail_to_start(account: Account, run: Run, code: str, reason: str) -> None:
    endings.complete(account, run, failures.before_start(code, reason))


def _limit(account: Account, run: Run) -> None:
    limit = run.task.constraints.max_wall_clock
    if limit != UNLIMITED:
        run.limit = account.clock.call_later_real(duration_seconds(limit), lambda: stop(account, run, TIMEOUT))


def stop(account: Account, run: Run, ending: str) -> None:
    """End a run from outside; what becomes of the task is in `ending`. The first reason stays."""
    if run.ending is None:
        run.ending = ending
    if run.process is not None:
        run.process.stop()
    elif run.coordinating:
        for command in list(run.coordinating):
            command.stop()
    elif not run.busy and account.runs.get(run.task) is run:
        endings.close(account, run, None)
