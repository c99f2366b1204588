"""Faults of nodes and of commands: they fire where a command starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from batch_emulator import node_loss
from batch_emulator.account import Account
from batch_emulator.commands import GRACE_SECONDS, Command, Failed, Launcher, Process
from batch_emulator.entities import Node
from batch_emulator.faults.model import DuplicateDelivery, FailStartTask, LoseNode, NodeFaultBase, PreemptNode
from batch_emulator.faults.registry import Armed, Faults, Occasion
from batch_emulator.tally import NOTHING, Used

_VARIABLES = {
    "poolId": "AZ_BATCH_POOL_ID",
    "nodeId": "AZ_BATCH_NODE_ID",
    "jobId": "AZ_BATCH_JOB_ID",
    "taskId": "AZ_BATCH_TASK_ID",
}


_GONE = ("preempted", "leavingpool", "deallocated", "unknown", "unusable")


def _can_strike(node: Node, fault: NodeFaultBase) -> bool:
    """Whether a node is there, and is of a kind to which this happens: only Spot nodes are preempted."""
    there = node.pool.nodes.get(node.id) is node and node.state not in _GONE
    return there and not (isinstance(fault, PreemptNode) and node.dedicated)


def _strike(account: Account, node: Node, fault: NodeFaultBase) -> None:
    if not _can_strike(node, fault):
        return
    if isinstance(fault, PreemptNode):
        node_loss.preempt(account, node)
    elif isinstance(fault, LoseNode):
        node_loss.lose(account, node)
    else:
        node_loss.make_unusable(account, node)


def strike_now(account: Account, armed: Armed) -> None:
    """Let a fault with `at: now` look at every node that is there, pool by pool."""
    fault = armed.fault
    if not isinstance(fault, NodeFaultBase) or fault.at != "now":
        return
    for pool in list(account.pools.values()):
        for node in list(pool.nodes.values()):
            ids = {"poolId": pool.id.lower(), "nodeId": node.id.lower()}
            applies = _can_strike(node, fault) and Occasion(ids=ids).meets(fault.match)
            if applies and armed.fires(account.now()):
                _later(account, node, fault)


def _applies_at_start(node: Node, fault: NodeFaultBase) -> bool:
    return fault.at == "task-start" and _can_strike(node, fault)


def _later(account: Account, node: Node, fault: NodeFaultBase) -> None:
    account.clock.call_later(fault.delay, lambda: _strike(account, node, fault))


def _occasion(environment: Mapping[str, str]) -> Occasion:
    return Occasion(ids={name: environment[key].lower() for name, key in _VARIABLES.items() if key in environment})


class _Twice:
    """A process that is started once more when it has ended."""

    def __init__(self, first: Process) -> None:
        self.current = first
        self.stopped = False
        self.before = NOTHING

    @property
    def mark(self) -> str:
        return self.current.mark

    @property
    def used(self) -> Used:
        one, two = self.before, self.current.used
        return Used(one.user + two.user, one.kernel + two.kernel, one.read + two.read, one.written + two.written)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        self.stopped = True
        self.current.stop(grace)

    def end_background(self) -> None:
        self.current.end_background()


class FaultyLauncher:
    """A launcher whose commands meet the faults that are set."""

    def __init__(self, inner: Launcher, account: Account, faults: Faults) -> None:
        self._inner = inner
        self._account = account
        self._faults = faults

    def launch(self, command: Command, ended: Callable[[int], None], failed: Failed | None = None) -> Process:
        """Start a command, and see what is to go wrong with it."""
        occasion = _occasion(command.environment)
        if "taskId" not in occasion.ids:
            return self._inner.launch(command, self._start_task_ended(occasion, ended), failed)
        self._hit(command, occasion)
        duplicates = self._faults.fired((DuplicateDelivery,), occasion)
        if any(fault.overlap for fault in duplicates):
            self._copy(command)
        if any(not fault.overlap for fault in duplicates):
            return self._twice(command, ended, failed)
        return self._inner.launch(command, ended, failed)

    def close(self) -> None:
        """Kill everything."""
        self._inner.close()

    def _start_task_ended(self, occasion: Occasion, ended: Callable[[int], None]) -> Callable[[int], None]:
        def told(code: int) -> None:
            fired = self._faults.fired((FailStartTask,), occasion)
            ended(fired[0].exit_code if fired else code)

        return told

    def _hit(self, command: Command, occasion: Occasion) -> None:
        pool = self._account.pools.get(command.environment["AZ_BATCH_POOL_ID"].lower())
        node = pool.nodes.get(command.environment["AZ_BATCH_NODE_ID"]) if pool else None
        if node is None:
            return
        applies = partial(_applies_at_start, node)
        for fault in self._faults.fired((NodeFaultBase,), occasion, applies):
            _later(self._account, node, fault)

    def _copy(self, command: Command) -> None:
        root = command.environment["AZ_BATCH_TASK_DIR"]
        copy = root + ".duplicate"
        environment = {name: value.replace(root, copy) for name, value in command.environment.items()}
        paths = {name: getattr(command, name).replace(root, copy) for name in ("cwd", "stdout", "stderr")}
        again = replace(command, environment=environment, lasting=False, **paths)

        def files() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            if Path(root).exists():
                shutil.copytree(root, copy)

        def launch(_: BaseException | None) -> None:
            self._inner.launch(again, lambda _: None, lambda _: None)

        self._account.background.run(files, launch)

    def _twice(self, command: Command, ended: Callable[[int], None], failed: Failed | None) -> Process:
        def told(code: int) -> None:
            if process.stopped or code != 0:
                ended(code)
            else:
                process.current.end_background()
                process.before = process.current.used
                process.current = self._inner.launch(command, ended, failed)

        process = _Twice(self._inner.launch(command, told, failed))
        return process
