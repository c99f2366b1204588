"""Multi-instance tasks: a coordination command on every node of the task, then the command on the primary's."""

from __future__ import annotations

from collections.abc import Callable

from batch_emulator import environment
from batch_emulator.account import Account, Run
from batch_emulator.directories import TaskFolder
from batch_emulator.entities import Failure, Node, Spec, Subtask, Task
from batch_emulator.moves import count_used
from batch_emulator.node_commands import NodeCommand, Plan
from batch_emulator.tally import Tally

Then = Callable[[int | None, Failure | None], None]
PORT = 6000


def folder(account: Account, task: Task, node_id: str, number: int) -> TaskFolder:
    """Where an instance runs; the primary has the number 0 and the task's own directory."""
    return account.folders.task(node_id, task.job.id, f"{task.id}/{number}" if number else task.id)


def variables(account: Account, run: Run, node: Node) -> dict[str, str]:
    """Azure's variables of an instance on a node."""
    addresses = [each.ip for each in run.nodes]
    return {
        "AZ_BATCH_HOST_LIST": ",".join(addresses),
        "AZ_BATCH_NODE_LIST": ";".join(addresses),
        "AZ_BATCH_MASTER_NODE": f"{run.node.ip}:{PORT}",
        "AZ_BATCH_IS_CURRENT_NODE_MASTER": "true" if node is run.node else "false",
        "AZ_BATCH_TASK_SHARED_DIR": folder(account, run.task, node.id, 0).root,
        "CCP_NODES": " ".join([str(len(addresses)), *(f"{address} 1" for address in addresses)]),
    }


def coordinate(account: Account, run: Run, then: Then) -> None:
    """Run the coordination command on all nodes; `then` gets the first failure, or None, when all have ended."""
    task, spec = run.task, _coordination(run.spec)
    task.subtasks = [_subtask(account, node, number) for number, node in enumerate(run.nodes[1:], 1)]
    commands: list[NodeCommand] = []

    def ended(command: NodeCommand) -> None:
        run.coordinating.discard(command)
        if command.process is not None:
            run.background.append(command.process)
        _note(account, task, command)
        if command.progress.failure is not None:
            _stop(run)
        if not run.coordinating:
            first = min(commands, key=lambda each: (each.progress.failure is None, each.progress.ended or 0))
            then(first.progress.exit_code, first.progress.failure)

    for number, node in enumerate(run.nodes):
        own = environment.task_variables(task.job, task.id) | variables(account, run, node)
        plan = Plan(
            spec, folder(account, task, node.id, number), own, files_to=own["AZ_BATCH_TASK_SHARED_DIR"], lasting=True
        )
        commands.append(NodeCommand(account, task.job, node, plan, ended))
    run.coordinating.update(commands)
    for command in commands:
        if command in run.coordinating:
            command.begin()


def _coordination(spec: Spec) -> Spec:
    settings = spec["multiInstanceSettings"]
    found: Spec = {"commandLine": settings["coordinationCommandLine"]}
    found["resourceFiles"] = settings.get("commonResourceFiles", [])
    found["environmentSettings"] = spec.get("environmentSettings", [])
    return found


def _stop(run: Run) -> None:
    for command in list(run.coordinating):
        command.stop()


def _subtask(account: Account, node: Node, number: int) -> Subtask:
    now = account.now()
    return Subtask(number, node.address, "running", now, now)


def _note(account: Account, task: Task, command: NodeCommand) -> None:
    for subtask in task.subtasks or ():
        if subtask.address is command.node.address:
            subtask.exit_code = command.progress.exit_code
            subtask.failure = command.progress.failure
            if subtask.failure is not None:
                _finish(account, subtask)


def end_background(run: Run) -> None:
    """End what the coordination commands left in the background, and count what they used for their task."""
    processes, run.background = run.background, []
    for process in processes:
        process.end_background()
        used = process.used
        count_used(run.task, Tally(used.user, used.kernel, 0.0, used.read, used.written))


def complete(account: Account, task: Task) -> None:
    """The task has ended, and its subtasks with it."""
    for subtask in task.subtasks or ():
        if subtask.state != "completed":
            _finish(account, subtask)


def _finish(account: Account, subtask: Subtask) -> None:
    now = account.now()
    subtask.previous_state, subtask.previous_since = subtask.state, subtask.state_since
    subtask.state, subtask.state_since, subtask.ended = "completed", now, now
