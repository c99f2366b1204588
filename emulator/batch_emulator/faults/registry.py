"""The faults that are set, and whether each fires at an occasion."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from batch_emulator.clock import Clock
from batch_emulator.durations import timestamp
from batch_emulator.faults.model import Fault, FaultBase, Match

F = TypeVar("F", bound=FaultBase)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something at which a fault could fire: a request, or the start of a command on a node. Ids in lower case."""

    operation: str | None = None
    ids: dict[str, str] = field(default_factory=dict)

    def meets(self, match: Match) -> bool:
        """Whether a fault with this match applies here."""
        method = (self.operation or "").partition(" ")[0]
        if match.operation not in (None, self.operation) or (match.method or method).upper() != method:
            return False
        wanted = {"poolId": match.pool_id, "nodeId": match.node_id, "jobId": match.job_id, "taskId": match.task_id}
        return all(value is None or self.ids.get(name) == value.lower() for name, value in wanted.items())


@dataclass(eq=False)
class Armed:
    """A fault that is set, and how often it was looked at and fired."""

    id: str
    fault: Fault
    created: int
    matched: int = 0
    fired: int = 0
    last_fired: int | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.fault.seed)  # noqa: S311 - repeatable, not secret

    @property
    def exhausted(self) -> bool:
        """Whether it will not fire any more."""
        return self.fault.count is not None and self.fired >= self.fault.count

    def fires(self, now: int) -> bool:
        """Count a match, and decide."""
        if self.exhausted:
            return False
        self.matched += 1
        turn = self.matched - self.fault.skip
        if turn < 1 or turn % self.fault.every:
            return False
        if self.fault.probability < 1 and self._random.random() >= self.fault.probability:
            return False
        self.fired += 1
        self.last_fired = now
        return True

    def fields(self) -> dict[str, Any]:
        """The fault as it was set, and what came of it."""
        shown = self.fault.model_dump(by_alias=True, exclude_none=True) | {"count": self.fault.count}
        last = timestamp(self.last_fired) if self.last_fired is not None else None
        return {
            "id": self.id,
            "created": timestamp(self.created),
            "matched": self.matched,
            "fired": self.fired,
            "lastFired": last,
            "exhausted": self.exhausted,
            **shown,
        }


class Faults:
    """All faults of an account, in the order in which they were set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 1
        self._armed: dict[str, Armed] = {}

    def add(self, fault: Fault) -> Armed:
        """Set a fault."""
        armed = Armed(f"fault-{self._next}", fault, self._clock.ticks())
        self._next += 1
        self._armed[armed.id] = armed
        return armed

    def all(self) -> list[Armed]:
        """What is set, fired or not."""
        return list(self._armed.values())

    def get(self, fault_id: str) -> Armed | None:
        """The fault of that id."""
        return self._armed.get(fault_id)

    def remove(self, fault_id: str) -> bool:
        """Take a fault away; False if there is none of that id."""
        return self._armed.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all faults away."""
        self._armed.clear()

    def fired(
        self, kinds: tuple[type[F], ...], occasion: Occasion, where: Callable[[F], bool] = lambda _: True
    ) -> list[F]:
        """The faults of these kinds that fire at an occasion."""
        found: list[F] = []
        for armed in self._armed.values():
            fault: FaultBase = armed.fault
            if not isinstance(fault, kinds) or not where(fault) or not occasion.meets(fault.match):
                continue
            if armed.fires(self._clock.ticks()):
                found.append(fault)
        return found
