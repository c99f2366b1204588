"""A fault as a client writes it: one model a kind, so that a field that means nothing for a kind is refused."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic.alias_generators import to_camel

from batch_emulator.routes import ROUTES

OPERATIONS = tuple(f"{route.method} {route.template}" for route in ROUTES)
When = Literal["before", "after"]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, strict=True)


class Match(_Wire):
    """What a fault applies to; a field that is left out matches everything. Ids are compared without case."""

    operation: str | None = None
    """A method and a template of the coverage table, such as `POST /jobs/{jobId}/addtaskcollection`."""
    method: str | None = None
    pool_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    task_id: str | None = None

    @field_validator("operation")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in OPERATIONS:
            near = difflib.get_close_matches(value, OPERATIONS, n=1, cutoff=0.0)[0]
            raise ValueError(f"{value!r} is no operation; did you mean {near!r}? `batch-emulator coverage` lists them")
        return value


class FaultBase(_Wire):
    """What every fault has."""

    match: Match = Match()
    count: Annotated[int, Field(ge=1)] | None = 1
    """How often it fires at most; null for ever."""
    skip: Annotated[int, Field(ge=0)] = 0
    """Matches that are let through first."""
    every: Annotated[int, Field(ge=1)] = 1
    """Then it fires at every n-th match."""
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 0
    """Of the random numbers that `probability` is held against: the same seed fires at the same matches."""


class NodeFaultBase(FaultBase):
    """What strikes a node."""

    at: Literal["now", "task-start"] = "now"
    """At once, on nodes that are there; or when a task that matches has started on a node."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds from then."""

    @model_validator(mode="after")
    def _applicable(self) -> NodeFaultBase:
        if self.match.operation or self.match.method:
            raise ValueError("a fault of nodes matches poolId, nodeId, jobId and taskId, not operations")
        if self.at == "now" and (self.match.job_id or self.match.task_id):
            raise ValueError("jobId and taskId can be matched with `at: task-start` only")
        return self


class PreemptNode(NodeFaultBase):
    """A node is taken away as Azure does with Spot nodes: its tasks are requeued, it comes back later."""

    kind: Literal["preempt-node"]


class LoseNode(NodeFaultBase):
    """A node is not heard of any more: its state is unknown and its tasks are requeued."""

    kind: Literal["lose-node"]


class UnusableNode(NodeFaultBase):
    """A node becomes unusable."""

    kind: Literal["unusable-node"]


class FailStartTask(FaultBase):
    """A start task ends with an exit code, whatever its command did."""

    kind: Literal["fail-start-task"]
    exit_code: Annotated[int, Field(ge=1, le=255)] = 1


class DuplicateDelivery(FaultBase):
    """A task's command runs twice: at the same time (the copy in a directory of its own), or once more at its end."""

    kind: Literal["duplicate-delivery"]
    overlap: bool = True


class HttpError(FaultBase):
    """An answer is an error; `when: after` applies the request first."""

    kind: Literal["http-error"]
    status: Literal[429, 500, 503] = 503
    retry_after: Annotated[int, Field(ge=0)] | None = None
    when: When = "before"


class AppliedThenError(FaultBase):
    """The request is applied, and answered with 500."""

    kind: Literal["applied-then-500"]


class Slow(FaultBase):
    """An answer takes its time."""

    kind: Literal["slow"]
    seconds: Annotated[float, Field(gt=0, le=3600)]
    when: When = "before"


class CutConnection(FaultBase):
    """The connection ends before anything was applied, or afterwards: without an answer, or in the midst of it."""

    kind: Literal["cut-connection"]
    where: Literal["before", "after", "after-headers", "mid-body"] = "before"


class StaleCounts(FaultBase):
    """Task counts are as they were `seconds` ago, as far as they were asked for."""

    kind: Literal["stale-counts"]
    seconds: Annotated[float, Field(ge=0)] = 60.0


class Quota(FaultBase):
    """A pool or a job is refused because the account's quota is used up."""

    kind: Literal["quota"]
    of: Literal["pools", "jobs"]


class TaskStatusCasing(FaultBase):
    """The status of added tasks comes in another casing."""

    kind: Literal["task-status-casing"]
    casing: Literal["lower", "camel", "pascal"]


Fault = (
    PreemptNode
    | LoseNode
    | UnusableNode
    | FailStartTask
    | DuplicateDelivery
    | HttpError
    | AppliedThenError
    | Slow
    | CutConnection
    | StaleCounts
    | Quota
    | TaskStatusCasing
)
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])
