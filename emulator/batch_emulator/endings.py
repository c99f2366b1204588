"""What becomes of a task when its run ends: retry, upload, complete or requeue; its slots are given back."""

from __future__ import annotations

from functools import partial

from batch_emulator import failures, instances, output_files, queues, retention, run_variables, sources
from batch_emulator.account import Account, Run
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.entities import Failure, Node, Task
from batch_emulator.moves import count_used, move_node, move_task
from batch_emulator.node_commands import retry_pause
from batch_emulator.tally import Tally, Used

TERMINATE = "terminate"
REQUEUE = "requeue"
TIMEOUT = "timeout"
GIVE_BACK = "give back"
"""The node cannot run the task after all: it goes back to its queue as if it had never left."""


def slots_on(task: Task, node: Node) -> int:
    """The slots that a task takes on a node: all of them if it wants it for itself."""
    return node.pool.slots_per_node if task.traits is not None and task.traits.exclusive else task.required_slots


def ended(account: Account, run: Run, code: int) -> None:
    """The command of a run has ended."""
    if run.process is not None:
        _count(account, run.task, run.process.used)
    run.process = None
    if run.limit is not None:
        run.limit.cancel()
    if run.ending is not None:
        close(account, run, code)
    else:
        judge(account, run, code)


def _count(account: Account, task: Task, used: Used) -> None:
    """Count what a process of a task has used that was started at `task.started`."""
    wall = (account.now() - task.started) / TICKS_PER_SECOND if task.started is not None else 0.0
    count_used(task, Tally(used.user, used.kernel, wall, used.read, used.written))


def judge(account: Account, run: Run, code: int) -> None:
    """What an exit code means: success, another try, or failure."""
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
    count_used(task, Tally(retries=1))
    task.last_retry = account.now()
    account.journal.task(task)

    def again() -> None:
        if account.runs.get(task) is run and run.process is None:
            run.again()

    instances.end_background(run)
    account.clock.call_later_real(retry_pause(task.retries), again)


def _upload(account: Account, run: Run, failure: Failure | None) -> None:
    """Bring the output files that are due to their containers, then complete the task."""
    due = output_files.due(run.spec.get("outputFiles", []), success=failure is None)
    if not due:
        complete(account, run, failure)
        return
    run.busy = True
    work = partial(output_files.upload, due, run.folder, run_variables.of(account, run), sources.of_node(account))
    account.background.run(work, partial(_uploaded, account, run, failure))


def _uploaded(account: Account, run: Run, failure: Failure | None, error: BaseException | None) -> None:
    run.busy = False
    if run.ending in (REQUEUE, TERMINATE):
        close(account, run, run.task.exit_code)
    else:
        complete(account, run, failures.of_upload(error) if error is not None else failure)


def close(account: Account, run: Run, code: int | None) -> None:
    """A run that was stopped has ended."""
    task = run.task
    task.exit_code = code
    if run.ending in (REQUEUE, GIVE_BACK):
        _requeue(account, run)
    elif run.ending == TIMEOUT:
        _upload(account, run, failures.TIMED_OUT)
    else:
        complete(account, run, failures.ENDED)


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


def complete(account: Account, run: Run, failure: Failure | None) -> None:
    """The task of a run is over for good."""
    task, node = run.task, run.node
    complete_task(account, task, failure)
    instances.complete(account, task)
    node.total_run += 1
    node.total_succeeded += failure is None
    node.recent.append(task)
    if run.limit is not None:
        run.limit.cancel()
    retention.begin(account, task)
    _release(account, run)
    account.task_completed(task)


def complete_task(account: Account, task: Task, failure: Failure | None) -> None:
    """Move a task to completed with its result; dependants and the job are told by the caller."""
    now = account.now()
    task.ended = now
    task.started = task.started or now
    task.failure = failure
    task.result = "success" if failure is None else "failure"
    move_task(task, "completed", now)
    account.journal.task(task)


def _release(account: Account, run: Run) -> None:
    task = run.task
    instances.end_background(run)
    del account.runs[task]
    task.job.occupied.discard(task)
    for node in run.nodes:
        node.running.discard(task)
        node.free_slots += slots_on(task, node)
        if node.state == "running" and not node.running:
            move_node(node, "idle", account.now())
    for node in run.nodes:
        account.slots_freed(node)
