"""How a node starts: boot, start task with its retries, idle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from batch_emulator import environment, failures, resource_files, sources, task_files
from batch_emulator.account import Account
from batch_emulator.commands import Command, LaunchError, split_command
from batch_emulator.entities import Failure, Node, Spec, StartTaskProgress
from batch_emulator.moves import move_node
from batch_emulator.node_commands import retry_pause


def is_there(node: Node) -> bool:
    """Whether a node is still in its pool."""
    return node.pool.nodes.get(node.id) is node


def later(account: Account, node: Node, seconds: float, step: Callable[[], None]) -> None:
    """Take `step` after `seconds`, if the node is then still there and has not changed its state."""
    state, since = node.state, node.state_since

    def take() -> None:
        if is_there(node) and (node.state, node.state_since) == (state, since):
            step()

    account.clock.call_later(seconds, take)


def create(account: Account, node: Node) -> None:
    """A node in the state creating boots after a while."""
    account.folders.make_node(node.id)
    later(account, node, account.settings.node_delay, lambda: boot(account, node))


def boot(account: Account, node: Node) -> None:
    """Start, or start again."""
    move_node(node, "starting", account.now())
    node.booted = account.now()
    node.start_task = node.pool.start_task
    node.start_task_progress = None
    node.errors.clear()
    account.journal.pool(node.pool)
    later(account, node, account.settings.node_delay, lambda: _booted(account, node))


def _booted(account: Account, node: Node) -> None:
    """The pool's packages come first: the start task may use them."""
    node.packages = list(node.pool.spec.get(task_files.PACKAGES, ()))
    if not node.packages:
        _start_work(account, node)
        return
    work = task_files.installing(account, node, node.packages)
    state, since = node.state, node.state_since

    def installed(error: BaseException | None) -> None:
        if not is_there(node) or (node.state, node.state_since) != (state, since):
            account.slots_freed(node)
        elif error is None:
            _start_work(account, node)
        else:
            _without_packages(account, node, error)

    account.background.run(work, installed)


def _without_packages(account: Account, node: Node, error: BaseException) -> None:
    message = "One or more application packages specified for the pool could not be installed on the node"
    details = (("Reason", str(error)),)
    node.errors.append(Failure("", "ApplicationPackageError", message, details))
    move_node(node, "unusable", account.now())
    account.journal.pool(node.pool)


def _start_work(account: Account, node: Node) -> None:
    spec = node.start_task
    if spec is None:
        become_idle(account, node)
        return
    if spec.get("waitForSuccess", True):
        move_node(node, "waitingforstarttask", account.now())
    else:
        become_idle(account, node)
    _begin_start_task(account, node, spec)


def become_idle(account: Account, node: Node) -> None:
    """The node can run tasks, unless it is not to be given any."""
    move_node(node, "idle", account.now())
    go_offline(account, node)
    account.journal.pool(node.pool)
    account.schedule(node.pool.id)


def go_offline(account: Account, node: Node) -> None:
    """An idle node that is given no tasks is offline."""
    if node.state == "idle" and node.scheduling == "disabled":
        move_node(node, "offline", account.now())


def _begin_start_task(account: Account, node: Node, spec: Spec) -> None:
    progress = StartTaskProgress(started=account.now())
    node.start_task_progress = progress
    folder = account.folders.start_task(node.id)
    folder.make()
    files = spec.get("resourceFiles")
    if not files:
        _launch(account, node, spec)
        return
    work = partial(resource_files.fetch, files, Path(folder.wd), sources.of_node(account))
    account.background.run(work, partial(_fetched, account, node, progress))


def _is_current(node: Node, progress: StartTaskProgress) -> bool:
    """Whether nothing has happened to the node meanwhile that ends its start task."""
    return is_there(node) and node.start_task_progress is progress and node.leaving is None


def _fetched(account: Account, node: Node, progress: StartTaskProgress, error: BaseException | None) -> None:
    if not _is_current(node, progress):
        return
    if error is not None:
        _end(account, node, None, failures.of_files(error))
    else:
        _launch(account, node, node.start_task or {})


def _launch(account: Account, node: Node, spec: Spec) -> None:
    folder = account.folders.start_task(node.id)
    own = environment.node_variables(account, node, folder)
    own |= task_files.variables(account, node, {})
    users = environment.settings(spec.get("environmentSettings", ()))
    progress = node.start_task_progress
    assert progress is not None
    try:
        arguments = split_command(spec["commandLine"])
        command = Command(arguments, folder.wd, environment.combine(own, users), folder.stdout, folder.stderr)
        node.start_process = account.launcher.launch(
            command, partial(_exited, account, node, progress), partial(_not_started, account, node, progress)
        )
    except LaunchError as error:
        _end(account, node, None, failures.before_start(error.code, str(error)))
    except OSError as error:
        _end(account, node, None, failures.before_start("CommandLaunchFailed", str(error)))


def _not_started(account: Account, node: Node, progress: StartTaskProgress, error: LaunchError) -> None:
    node.start_process = None
    if _is_current(node, progress):
        _end(account, node, None, failures.before_start(error.code, str(error)))
    else:
        account.slots_freed(node)


def _exited(account: Account, node: Node, progress: StartTaskProgress, code: int) -> None:
    node.start_process = None
    if not _is_current(node, progress):
        account.slots_freed(node)
        return
    limit = (node.start_task or {}).get("maxTaskRetryCount", 0)
    if code != 0 and (limit == -1 or progress.retries < limit):
        progress.retries += 1
        progress.last_retry = account.now()
        account.clock.call_later_real(retry_pause(progress.retries), partial(_again, account, node, progress))
        return
    _end(account, node, code, failures.FAILED if code else None)


def _again(account: Account, node: Node, progress: StartTaskProgress) -> None:
    if _is_current(node, progress):
        _launch(account, node, node.start_task or {})


def _end(account: Account, node: Node, code: int | None, failure: Failure | None) -> None:
    progress = node.start_task_progress
    assert progress is not None
    progress.ended = account.now()
    progress.exit_code = code
    progress.failure = failure
    if node.state == "waitingforstarttask":
        if failure is None:
            become_idle(account, node)
        else:
            move_node(node, "starttaskfailed", account.now())
    account.journal.pool(node.pool)


def end_start_task(node: Node) -> bool:
    """Let the start task of a node end; True when none runs."""
    if node.start_process is not None:
        node.start_process.stop()
    return node.start_process is None
