"""Line: an order on its way, from the plan of its whole dataset to what is left of it after a canary."""

from dataclasses import dataclass
from datetime import UTC, datetime

from batchimg import budget, canary
from batchimg.connect import Services
from batchimg.cost import spent_on
from batchimg.errors import InputError
from batchimg.estimate import Estimate
from batchimg.events import Observer, Told
from batchimg.fleet import fleet_of
from batchimg.incremental import Reduced, rest_of
from batchimg.lineage import Lineage, lineage
from batchimg.measured import measured
from batchimg.plan import Plan, canary_name, is_canary, spec_of
from batchimg.prices import load_prices
from batchimg.quote import quote
from batchimg.submit import Submitted, nothing_new, submit
from batchimg.words import count, size
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import RunSpec, Source


@dataclass(frozen=True, slots=True)
class Line:
    """The ``plan`` of a whole dataset, and the ``name`` of the runs that do it."""

    services: Services
    plan: Plan
    source: Source
    name: str
    chunk_images: int | None
    observer: Observer

    def start(self, reduced: Reduced, priced: Estimate | None) -> Submitted:
        """Start what is left, after its canary where one is wanted. ``priced`` is an estimate that was made before.

        Raises SettingsError where it is dearer than `max_cost`, RunFailed where too much of the canary failed.
        """
        after = self._after_canary(reduced, priced)
        if after is not reduced:
            priced = None
            if after.nothing_new and after.base is not None:
                return nothing_new(after.base, after.plan)
        services = self._within_budget(after.plan, priced)
        return submit(after.plan, self.name, self.source, services, self.observer)

    def _after_canary(self, reduced: Reduced, priced: Estimate | None) -> Reduced:
        if self._has_begun(reduced.plan):
            return reduced
        first = self._canary(reduced)
        if first is None:
            return reduced
        if isinstance(first, Plan):
            first = self._done(first, self._within_budget(reduced.plan, priced))
        if self.services.settings.canary != "never":
            canary.check(self.services, first, self.plan.dataset)
        rest = rest_of(self.services, self.plan, lineage(self.services, first, until_damage=True), self.chunk_images)
        self._tell(first, rest.tasks)
        return Reduced(rest, first)

    def _canary(self, reduced: Reduced) -> Plan | RunSpec | None:
        """A canary that is to be done, or gone on with; one that is done already; None where none is wanted."""
        family = lineage(self.services, reduced.base, until_damage=True) if reduced.base is not None else ()
        known = canary.of_line(family, self.plan)
        if known is not None and known is not family[0]:
            return None  # the line had its canary, and a run after it
        if known is not None and not self._is_done(known):
            return self._again(family)
        if known is not None and canary.still_speaks(self.services, known, self.plan.dataset):
            return known
        images = canary.images_for(self.services.settings, reduced.plan)
        return canary.canary_plan(reduced.plan, images) if images else None

    def _is_done(self, spec: RunSpec) -> bool:
        return sum(1 for _ in self.services.runs.list(f"{spec.run}/results/")) >= spec.chunks

    def _done(self, first: Plan, services: Services) -> RunSpec:
        """Do a canary, and wait for its end. Raises RunFailed where it does not come to one."""
        placed = submit(first, canary_name(self.name), self.source, services, self.observer)
        if not placed.ended:
            canary.wait(self.services, placed.spec, self.observer)
        return placed.spec

    def _again(self, family: Lineage) -> Plan:
        """The plan of a canary that was begun before. Raises InputError where its images have changed meanwhile."""
        spec = family[0]
        whole = rest_of(self.services, self.plan, family[1:], self.chunk_images) if family[1:] else self.plan
        first = canary.canary_plan(whole, spec.images)
        if self._run_of(first, canary_name(self.name)) != spec.run:
            raise InputError(
                f"canary {spec.run} was not finished, and its images have changed since",
                f"Begin anew: batchimg delete {spec.run}, then the same command again.",
            )
        return first

    def _within_budget(self, plan: Plan, priced: Estimate | None) -> Services:
        """The services with a wall clock for the run's jobs, where `max_cost` is set. Raises SettingsError."""
        if self.services.settings.max_cost is None or not len(plan.dataset):
            return self.services
        before = [plan.parent] if plan.parent is not None and is_canary(plan.parent) else []
        spent = budget.Spent(
            before=spent_on(self.services, before),
            own=spent_on(self.services, [self._run_of(plan, self.name)]),
        )
        estimated = priced or quote(self.services.settings, plan, self.services)
        return budget.limited(self.services, estimated, self.observer, spent)

    def _tell(self, done: RunSpec, chunks: int) -> None:
        """Say what a canary showed, and what to do where memory will not do."""
        speed, settings = measured(self.services, done), self.services.settings
        if speed is None:
            return
        an_image = speed.seconds(done.bytes, done.images).expected / done.images
        self.observer(
            Told(
                f"An image takes {an_image:.3g} s of a core, a task up to {size(speed.peak)} of memory: "
                f"the rest goes in {count(chunks, 'task')}."
            )
        )
        fleet = fleet_of(settings, load_prices(settings.prices), self.services)
        advice = None if isinstance(fleet, str) else canary.memory_advice(speed, fleet, settings.memory_mb)
        if advice is not None:
            self.observer(Told(advice))

    def _has_begun(self, plan: Plan) -> bool:
        return self.services.runs.stat(run_path(self._run_of(plan, self.name))) is not None

    def _run_of(self, plan: Plan, name: str) -> str:
        return spec_of(plan, name, self.source, datetime.now(UTC)).run
