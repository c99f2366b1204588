"""The running stack as other code sees it, and finding it. Imports little: every command begins here."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from batchimg.local.paths import StackPaths, user_paths
from batchimg.local.ports import HOST, Ports, answers
from batchimg.local.processes import is_alive
from batchimg.local.state import Phase, StackState, load_state


@dataclass(frozen=True, slots=True)
class StackProcesses:
    """The pids of a running stack."""

    supervisor: int
    azurite: int
    batch: int


@dataclass(frozen=True, slots=True)
class StackLogs:
    """The log files of a stack."""

    supervisor: Path
    azurite: Path
    batch: Path


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: endpoints (`http://127.0.0.1:PORT/...`) and keys (base64, never printed by repr).

    `environment` is the Python environment (sys.prefix) whose programs the tasks run; `started_at` is Unix
    time.
    """

    blob_endpoint: str
    queue_endpoint: str
    storage_account: str
    batch_endpoint: str
    batch_account: str
    ports: Ports
    processes: StackProcesses
    logs: StackLogs
    data_folder: Path
    started_at: float
    environment: str
    version: str
    storage_key: str = field(repr=False)
    batch_key: str = field(repr=False)

    @property
    def uptime_seconds(self) -> float:
        """Time since it was started."""
        return max(0.0, time.time() - self.started_at)


def find() -> Stack | None:
    """The running stack, if there is one that answers; takes a few milliseconds.

    None too while a service is being started again: `up` waits for that.
    """
    paths = user_paths()
    state = load_state(paths.state_file)
    if state is None or state.phase is not Phase.RUNNING or not all(is_alive(each) for each in state.processes):
        return None
    ports = state.ports
    return stack_of(paths, state) if all(answers(port) for port in ports.numbers()) else None


def stack_of(paths: StackPaths, state: StackState) -> Stack:
    """The stack that a state file describes, whether it runs or not."""
    pids = {service.name: service.process.pid for service in state.services}
    return Stack(
        blob_endpoint=f"http://{HOST}:{state.ports.blob}/{state.storage_account}",
        queue_endpoint=f"http://{HOST}:{state.ports.queue}/{state.storage_account}",
        storage_account=state.storage_account,
        storage_key=state.storage_key,
        batch_endpoint=state.batch_endpoint,
        batch_account=state.batch_account,
        batch_key=state.batch_key,
        ports=state.ports,
        processes=StackProcesses(state.supervisor.pid, pids.get("azurite", 0), pids.get("batch", 0)),
        logs=StackLogs(paths.supervisor_log, paths.azurite_log, paths.batch_log),
        data_folder=paths.data,
        started_at=state.started_at,
        environment=state.environment,
        version=state.version,
    )
