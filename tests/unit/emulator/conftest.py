"""An account whose time and processes are in the test's hands."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batch_emulator.account import Account, Settings
from batch_emulator.clock import ManualClock
from batch_emulator.commands import Command, LaunchError
from batch_emulator.operations import jobs, pools, tasks
from batch_emulator.service import build_account
from batch_emulator.tally import NOTHING, Used
from batch_emulator.wire import Request


@dataclass
class PretendProcess:
    command: Command
    ended: Callable[[int], None]
    stopped: bool = False
    mark: str = ""
    used: Used = NOTHING
    background_ended: bool = False

    def stop(self, grace: float = 0.0) -> None:  # noqa: ARG002
        self.stopped = True

    def end_background(self) -> None:
        self.background_ended = True

    @property
    def task_id(self) -> str:
        return self.command.environment.get("AZ_BATCH_TASK_ID", "")


@dataclass
class PretendLauncher:
    """Starts nothing; the test says when a process ends."""

    running: list[PretendProcess] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    def launch(self, command: Command, ended: Callable[[int], None], failed=None) -> PretendProcess:  # noqa: ARG002
        if command.arguments[0] == "missing":
            raise LaunchError("no such program", code="CommandProgramNotFound")
        process = PretendProcess(command, ended)
        self.running.append(process)
        self.started.append(process.task_id)
        return process

    def close(self) -> None:
        self.running.clear()


@dataclass
class World:
    account: Account
    clock: ManualClock
    launcher: PretendLauncher

    def call(self, operation, body=None, **path):
        """Call an operation as the router would."""
        data = json.dumps(body).encode() if body is not None else b""
        return operation(self.account, Request("POST", "/", "", {"request-id": "r"}, data, path, {}))

    def pool(self, pool_id="p", nodes=1, slots=1, **more):
        image = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}
        body = {"id": pool_id, "vmSize": "S", "virtualMachineConfiguration": image}
        self.call(pools.create, body | {"targetDedicatedNodes": nodes, "taskSlotsPerNode": slots} | more)
        self.clock.advance(1)
        return self.account.pools[pool_id]

    def job(self, job_id="j", pool_id="p", **more):
        self.call(jobs.create, {"id": job_id, "poolInfo": {"poolId": pool_id}} | more)
        return self.account.jobs[job_id]

    def task(self, task_id, job_id="j", **more):
        self.call(tasks.create, {"id": task_id, "commandLine": "run"} | more, jobId=job_id)
        return self.account.jobs[job_id].tasks[task_id]

    def settle(self, seconds=0.0):
        self.clock.advance(seconds)

    def running(self) -> list[str]:
        return sorted(process.task_id for process in self.launcher.running)

    def end(self, task_id, code=0):
        """Let the process of a task end."""
        process = next(process for process in self.launcher.running if process.task_id == task_id)
        self.launcher.running.remove(process)
        process.ended(code)
        self.clock.advance()

    def end_stopped(self):
        """Let all processes end that were told to."""
        for process in [process for process in self.launcher.running if process.stopped]:
            self.launcher.running.remove(process)
            process.ended(143)
        self.clock.advance()


@pytest.fixture
def world(tmp_path: Path) -> World:
    clock, launcher = ManualClock(), PretendLauncher()
    return World(build_account(Settings(), tmp_path, clock, launcher), clock, launcher)
