"""How the stack is, for `batchimg local status`: more than `find` tells, and slower."""

from dataclasses import dataclass
from pathlib import Path

from batchimg.local.azurite import folder_bytes, installed_folder
from batchimg.local.paths import user_paths
from batchimg.local.processes import is_alive
from batchimg.local.running import Stack, find
from batchimg.local.state import Phase, ServiceName, ServiceState, StackState, load_state


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One background process. `memory_bytes` is its resident set, 0 where it does not run."""

    name: ServiceName
    pid: int
    alive: bool
    restarts: int
    memory_bytes: int
    log: Path
    log_bytes: int


@dataclass(frozen=True, slots=True)
class StackStatus:
    """All there is to say. `stack` is None unless it answers now; `phase` None: never started.

    `reason` says in words why it does not run. `installed` is Azurite's folder in the cache, if it is there.
    """

    phase: Phase | None
    reason: str
    stack: Stack | None
    services: tuple[ServiceStatus, ...]
    uptime_seconds: float
    data_folder: Path
    data_bytes: int
    log_folder: Path
    log_bytes: int
    installed: Path | None


def status() -> StackStatus:
    """Look at the stack without disturbing it: this does not count as use."""
    paths = user_paths()
    stack = find()
    state = load_state(paths.state_file)
    installed = installed_folder()
    return StackStatus(
        phase=None if state is None else state.phase,
        reason=_reason(state, stack, damaged=state is None and paths.state_file.exists()),
        stack=stack,
        services=() if state is None else tuple(_service(each) for each in state.services),
        uptime_seconds=0.0 if stack is None else stack.uptime_seconds,
        data_folder=paths.data,
        data_bytes=folder_bytes(paths.data),
        log_folder=paths.logs,
        log_bytes=folder_bytes(paths.logs),
        installed=installed if installed.is_dir() else None,
    )


def _reason(state: StackState | None, stack: Stack | None, *, damaged: bool) -> str:
    if stack is not None:
        return ""
    if state is None:
        return "its state file is damaged" if damaged else "it was never started"
    ended = state.phase in (Phase.STOPPED, Phase.FAILED)
    if ended:
        return state.reason
    if not is_alive(state.supervisor):
        return "it was killed or the machine was switched off"
    return "a service is being started again" if state.phase is Phase.RUNNING else f"it is {state.phase}"


def _service(state: ServiceState) -> ServiceStatus:
    alive = is_alive(state.process)
    return ServiceStatus(
        name=state.name,
        pid=state.process.pid,
        alive=alive,
        restarts=state.restarts,
        memory_bytes=_memory_bytes(state.process.pid) if alive else 0,
        log=state.log,
        log_bytes=state.log.stat().st_size if state.log.exists() else 0,
    )


def _memory_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
