"""`stack.json`: what the supervisor knows, for every other process to read."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from batchimg.local.paths import write_private
from batchimg.local.ports import Ports
from batchimg.local.processes import ProcessId

SCHEMA_VERSION = 1

ServiceName = Literal["azurite", "batch"]


class Phase(StrEnum):
    """Where the stack is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One child of the supervisor. `process` is the latest one, dead or alive."""

    name: ServiceName
    process: ProcessId
    restarts: int
    log: Path


@dataclass(frozen=True, slots=True)
class StackState:
    """All of `stack.json`. `token` names one start, `environment` is the tasks' Python environment."""

    token: str
    phase: Phase
    reason: str
    supervisor: ProcessId
    services: tuple[ServiceState, ...]
    ports: Ports
    storage_account: str
    storage_key: str
    batch_endpoint: str
    batch_account: str
    batch_key: str
    started_at: float
    environment: str
    version: str

    @property
    def processes(self) -> tuple[ProcessId, ...]:
        """The supervisor, then its children."""
        return (self.supervisor, *(service.process for service in self.services))

    def save(self, path: Path) -> None:
        """Replace the file as a whole, readable by its owner only."""
        write_private(path, json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, default=str, indent=1))


def load_state(path: Path) -> StackState | None:
    """What the file says; None if there is no such file, or it is damaged, or of another version."""
    try:
        raw = json.loads(path.read_bytes())
        return _parse(raw)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _parse(raw: object) -> StackState:
    fields = _Fields(raw)
    if fields.integer("schema_version") != SCHEMA_VERSION:
        raise ValueError("another schema version")
    ports = _Fields(fields.raw["ports"])
    return StackState(
        token=fields.text("token"),
        phase=Phase(fields.text("phase")),
        reason=fields.text("reason"),
        supervisor=_process(fields.raw["supervisor"]),
        services=tuple(_service(each) for each in fields.items("services")),
        ports=Ports(ports.integer("blob"), ports.integer("queue"), ports.integer("batch")),
        storage_account=fields.text("storage_account"),
        storage_key=fields.text("storage_key"),
        batch_endpoint=fields.text("batch_endpoint"),
        batch_account=fields.text("batch_account"),
        batch_key=fields.text("batch_key"),
        started_at=fields.number("started_at"),
        environment=fields.text("environment"),
        version=fields.text("version"),
    )


def _service(raw: object) -> ServiceState:
    fields = _Fields(raw)
    name = fields.text("name")
    if name not in ("azurite", "batch"):
        raise ValueError(name)
    return ServiceState(
        name="azurite" if name == "azurite" else "batch",
        process=_process(fields.raw["process"]),
        restarts=fields.integer("restarts"),
        log=Path(fields.text("log")),
    )


def _process(raw: object) -> ProcessId:
    fields = _Fields(raw)
    return ProcessId(fields.integer("pid"), fields.text("started"))


class _Fields:
    """A JSON object whose members are checked as they are read (pydantic would cost every command 60 ms)."""

    def __init__(self, raw: object) -> None:
        if not isinstance(raw, dict):
            raise TypeError("not an object")
        self.raw: dict[str, object] = raw

    def text(self, name: str) -> str:
        value = self.raw[name]
        if not isinstance(value, str):
            raise TypeError(name)
        return value

    def integer(self, name: str) -> int:
        value = self.raw[name]
        if not isinstance(value, int):
            raise TypeError(name)
        return value

    def number(self, name: str) -> float:
        value = self.raw[name]
        if not isinstance(value, int | float):
            raise TypeError(name)
        return float(value)

    def items(self, name: str) -> list[object]:
        value = self.raw[name]
        if not isinstance(value, list):
            raise TypeError(name)
        return value
