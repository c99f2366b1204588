"""The life of a task on a node: prepare, fetch, start, retry, upload, end, and why it ended."""

from __future__ import annotations

import json
from functools import partial

from batch_emulator import environment, failures, instances, output_files, preparation, queues, sources, task_files
from batch_emulator.account import Account, Run
from batch_emulator.durations import UNLIMITED, duration_seconds
from batch_emulator.entities import Failure, Node, Spec, Task, move_node, move_task
from batch_emulator.launcher import Command, LaunchError, split_command
from batch_emulator.node_commands import retry_pause

TERMINATE = "terminate"
REQUEUE = "requeue"
TIMEOUT = "timeout"
GIVE_BACK = "give back"
"""The node cannot run the task after all: it goes back to its queue as if it had never left."""

EMPTY_COMMAND = "/bin/true"
"""What an empty command line with container settings runs: the image's own program is not there."""


def start(account: Account, task: Task, nodes: list[Node]) -> None:
    """Give an active task its slots, on one node or on one for each instance, and start it there."""
    spec: Spec = json.loads(task.spec)
    node = nodes[0]
    folder = account.folders.task(node.id, task.job.id, task.id)
    run = Run(task, nodes, spec, folder)
    account.runs[task] = run
    task.job.occupied.add(task)
    for each in nodes:
        each.running.add(task)
        each.free_slots -= slots_on(task, each)
        if each.state == "idle":
            move_node(each, "running", account.now())
    task.address = node.address
    task.started = task.ended = task.exit_code = task.failure = None
    slow = task_files.any_needed(node, spec) or "multiInstanceSettings" in spec or "jobPreparationTask" in task.job.spec
    move_task(task, "preparing" if slow else "running", account.now())
    try:
        for each in nodes:
            account.folders.discard(account.folders.task(each.id, task.job.id, task.id).root)
        if slow:
            folder.make()  # else the launcher does it, beside the event loop
    except OSError as error:
        _complete(account, run, failures.before_start("ResourceDirectoryCreateFailed", str(error)))
        return
    if slow:
        _await_preparation(account, run)
    else:
        _launch(account, run)


def slots_on(task: Task, node: Node) -> int:
    """The slots that a task takes on a node: all of them if it wants it for itself."""
    return node.pool.slots_per_node if task.traits is not None and task.traits.exclusive else task.required_slots


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
    if not task_files.any_needed(run.node, run.spec):
        _coordinate(account, run)
        return
    run.busy = True
    account.background.run(task_files.fetching(account, run), partial(_fetched, account, run))


def _fetched(account: Account, run: Run, error: BaseException | None) -> None:
    run.busy = False
    if run.ending:
        _close(account, run, None)
    elif error is not None:
        _complete(account, run, failures.of_files(error))
    else:
        _coordinate(account, run)


def _coordinate(account: Account, run: Run) -> None:
    if "multiInstanceSettings" in run.spec:
        instances.coordinate(account, run, partial(_coordinated, account, run))
    else:
        _begin_command(account, run)


def _coordinated(account: Account, run: Run, code: int | None, failure: Failure | None) -> None:
    if run.ending is not None:
        _close(account, run, None)
    elif failure is None:
        _begin_command(account, run)
    elif code is not None:
        _judge(account, run, code)
    else:
        _complete(account, run, failure)


def _begin_command(account: Account, run: Run) -> None:
    if run.task.state == "preparing":
        move_task(run.task, "running", account.now())
    _launch(account, run)


def variables(account: Account, run: Run) -> dict[str, str]:
    """The environment of a task's command."""
    task, job = run.task, run.task.job
    users = environment.settings(job.spec.get("commonEnvironmentSettings", ()))
    users |= environment.settings(run.spec.get("environmentSettings", ()))
    own = environment.node_variables(account, run.node, run.folder)
    own |= environment.task_variables(job, task.id)
    if "jobPreparationTask" in job.spec:
        own |= environment.preparation_variables(account, job, run.node)
    if "multiInstanceSettings" in run.spec:
        own |= instances.variables(account, run, run.node)
    own |= task_files.variables(account, run.node, run.spec)
    return environment.combine(own, users)


def _launch(account: Account, run: Run) -> None:
    task, folder = run.task, run.folder
    task.started = account.now()
    empty = EMPTY_COMMAND if "containerSettings" in run.spec else ""
    ended, failed = partial(_ended, account, run), partial(_not_started, account, run)
    try:
        arguments = split_command(run.spec["commandLine"] or empty)
        command = Command(arguments, folder.wd, variables(account, run), folder.stdout, folder.stderr)
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
        _close(account, run, None)
    else:
        _fail_to_start(account, run, error.code, str(error))


def _fail_to_start(account: Account, run: Run, code: str, reason: str) -> None:
    _complete(account, run, failures.before_start(code, reason))


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
        _close(account, run, None)


def _ended(account: Account, run: Run, code: int) -> None:
    run.process = None
    if run.limit is not None:
        run.limit.cancel()
    if run.ending is not None:
        _close(account, run, code)
    else:
        _judge(account, run, code)


def _judge(account: Account, run: Run, code: int) -> None:
    task = run.task
    if code == 0:
        task.exit_code = 0
        _upload(account, run, None)
    elif task.constraints.max_retries == -1 or task.retries < task.constraints.max_retries:
        _retry(account, run)
    else:
        task.exit_code = code
        _upload(account, run, failures.FAILED)


def _retry(account: Account, run: Run) -> None:
    """Run the command once more, in its place; the more often it failed the later."""
    task = run.task
    task.retries += 1
    task.last_retry = account.now()
    account.journal.task(task)

    def again() -> None:
        if account.runs.get(task) is run and run.process is None:
            _coordinate(account, run)

    account.clock.call_later_real(retry_pause(task.retries), again)


def _upload(account: Account, run: Run, failure: Failure | None) -> None:
    """Bring the output files that are due to their containers, then complete the task."""
    due = output_files.due(run.spec.get("outputFiles", []), success=failure is None)
    if not due:
        _complete(account, run, failure)
        return
    run.busy = True
    work = partial(output_files.upload, due, run.folder, variables(account, run), sources.of_node(account))
    account.background.run(work, partial(_uploaded, account, run, failure))


def _uploaded(account: Account, run: Run, failure: Failure | None, error: BaseException | None) -> None:
    run.busy = False
    if run.ending in (REQUEUE, TERMINATE):
        _close(account, run, run.task.exit_code)
    else:
        _complete(account, run, failures.of_upload(error) if error is not None else failure)


def _close(account: Account, run: Run, code: int | None) -> None:
    """A run that was stopped has ended."""
    task = run.task
    task.exit_code = code
    if run.ending in (REQUEUE, GIVE_BACK):
        _requeue(account, run)
    elif run.ending == TIMEOUT:
        _upload(account, run, failures.TIMED_OUT)
    else:
        _complete(account, run, failures.ENDED)


def _requeue(account: Account, run: Run) -> None:
    requeue_lost(account, run.task, counted=run.ending == REQUEUE)
    _release(account, run)
    account.task_requeued(run.task)
    account.schedule(run.task.job.pool_id)


def requeue_lost(account: Account, task: Task, *, counted: bool = True) -> None:
    """Put a task whose node is gone (or taken away) back to the front of its queue; no retry is counted."""
    if counted:
        task.requeues += 1
        task.last_requeue = account.now()
    task.started = task.ended = task.exit_code = task.failure = task.address = task.subtasks = None
    move_task(task, "active", account.now())
    account.journal.task(task)
    queues.push(task, first=True)


def _complete(account: Account, run: Run, failure: Failure | None) -> None:
    task, node = run.task, run.node
    complete(account, task, failure)
    instances.complete(account, task)
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
        task, ended = run.task, run.task.ended

        def expire() -> None:
            if task not in account.runs and task.ended == ended:
                remove_folder(account, task)

        account.clock.call_later(duration_seconds(retention), expire)


def remove_folder(account: Account, task: Task) -> None:
    """Delete the files of a task that does not run."""
    if task.address is not None:
        account.folders.discard(account.folders.task(task.address.node_id, task.job.id, task.id).root)


def _release(account: Account, run: Run) -> None:
    task = run.task
    del account.runs[task]
    task.job.occupied.discard(task)
    for node in run.nodes:
        node.running.discard(task)
        node.free_slots += slots_on(task, node)
        if node.state == "running" and not node.running:
            move_node(node, "idle", account.now())
    for node in run.nodes:
        account.slots_freed(node)
