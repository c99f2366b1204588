"""Stop: a run that is watched is ended where more of it fails, or costs, than it may. What is done stays."""

import time
from collections.abc import Callable, Iterable, Iterator

from batchimg.connect import Services
from batchimg.cost import run_cost
from batchimg.errors import RunFailed
from batchimg.failure_limit import FailureLimit
from batchimg.runs import cancel
from batchimg.watch import RunStatus
from batchimg.words import money
from batchimg_worker.contract import RunSpec
from batchimg_worker.errors import StorageError

COST_SECONDS = 15.0  # between two looks at what was spent


class Bounds:
    """What a run that is watched may not pass: failures, and USD. ``spent`` tells its cost so far, ``end`` ends it."""

    def __init__(
        self,
        failures: FailureLimit | None,
        most: float | None,
        spent: Callable[[], float],
        end: Callable[[], object],
    ) -> None:
        self._failures, self._most, self._spent, self._end = failures, most, spent, end
        self._looked: float | None = None
        self.passed: RunFailed | None = None

    @classmethod
    def of(cls, services: Services, spec: RunSpec) -> "Bounds":
        """The settings' `max_failures` and `max_cost`."""
        settings = services.settings
        return cls(
            FailureLimit.parse(settings.max_failures) if settings.max_failures else None,
            settings.max_cost,
            lambda: run_cost(services, spec).price.expected,
            lambda: cancel(services, spec.run),
        )

    def hold(self, statuses: Iterable[RunStatus]) -> Iterator[RunStatus]:
        """The statuses; a run that passes a limit is ended, and ``passed`` says which."""
        for status in statuses:
            if self.passed is None and not status.is_over:
                self.passed = self._too_many(status) or self._too_dear(status.run)
                if self.passed is not None:
                    self._end()
            yield status

    def _too_many(self, status: RunStatus) -> RunFailed | None:
        over = status.done + status.failed
        if self._failures is None or not self._failures.is_passed(status.failed, over):
            return None
        cause = next(iter(status.causes), "Unknown")
        return RunFailed(
            f"run {status.run} was ended: {status.failed:,} of {over:,} images failed, most with {cause}; "
            f"--max-failures is {self._failures}",
            f"`batchimg failures {status.run}` lists them, `batchimg retry {status.run}` does what is left.",
        )

    def _too_dear(self, run: str) -> RunFailed | None:
        now = time.monotonic()
        if self._most is None or (self._looked is not None and now - self._looked < COST_SECONDS):
            return None
        self._looked = now
        try:
            spent = self._spent()
        except StorageError:
            return None  # it cannot be asked now; it is the next time
        if spent <= self._most:
            return None
        return RunFailed(
            f"run {run} was ended: it has cost {money(spent)}, and --max-cost is {money(self._most)}",
            f"What is done stays. `batchimg cost {run}` shows it; `batchimg retry {run}` does the rest.",
        )
