"""Quote: what a plan would take and cost, before anything is sent."""

from collections.abc import Callable
from dataclasses import replace

from batchimg.canary import images_for, of_line
from batchimg.connect import Services
from batchimg.estimate import Estimate, Workload, estimate
from batchimg.fleet import fleet_of
from batchimg.lineage import lineage
from batchimg.measured import measured
from batchimg.plan import Plan
from batchimg.prices import load_prices
from batchimg.run_document import read_run
from batchimg.runs import all_runs
from batchimg.settings import Settings
from batchimg.speed import Speed, given, guessed
from batchimg.trial import try_images
from batchimg_worker.contract import RunSpec

IN_THE_CLOUD = "the dataset is in the cloud already, and no run of this recipe is known"
NOT_DONE = "none of the images that were tried could be done here in some seconds"


def quote(settings: Settings, plan: Plan, services: Services | None) -> Estimate | str:
    """What a plan takes and costs; or, as a sentence, why there is no price.

    Reads alone: the pool, the results of an earlier run; else some of the folder's images are tried on this machine.
    ``services`` is None where nothing is reachable, or nothing shall be started.
    """
    table = load_prices(settings.prices)
    fleet = fleet_of(settings, table, services)
    if isinstance(fleet, str):
        return fleet
    if not len(plan.dataset):
        return "there is nothing to do"
    found = estimate(Workload.of(plan), speed_of(settings, plan, services), fleet, table.storage)
    return found if _had_canary(services, plan) else replace(found, canary=images_for(settings, plan))


def quote_retry(services: Services, plan: Plan) -> Estimate | str:
    """As `quote`, for a retry, which has no canary."""
    found = quote(services.settings, plan, services)
    return found if isinstance(found, str) else replace(found, canary=0)


def _had_canary(services: Services | None, plan: Plan) -> bool:
    """Whether the line that a plan goes on had its canary; what is new then has none."""
    if services is None or plan.parent is None:
        return False
    return of_line(lineage(services, read_run(services.runs, plan.parent), until_damage=True), plan) is not None


def speed_of(settings: Settings, plan: Plan, services: Services | None) -> Speed:
    """How long a plan's images take: as set, as measured in a run of the recipe, as tried here, or as guessed."""
    pictures = len(plan.recipe.variants)
    if settings.expected_seconds is not None:
        return given(settings.expected_seconds, plan.dataset.bytes, len(plan.dataset), pictures)
    ways: list[Callable[[], Speed | None]] = []
    if services is not None:
        ways.append(lambda: earlier(services, plan))
    if plan.dataset.root is not None:
        ways.append(lambda: try_images(plan))
    known = next((speed for way in ways if (speed := way()) is not None), None)
    return known or guessed(pictures, NOT_DONE if plan.dataset.root else IN_THE_CLOUD)


def earlier(services: Services, plan: Plan) -> Speed | None:
    """The speed of the latest run that did the same to images; the plan's own line comes first."""
    runs = all_runs(services)
    line = next((spec for spec in runs if spec.run == plan.parent), None)
    for spec in (*(lineage(services, line, until_damage=True) if line else ()), *runs):
        if _same(spec, plan) and (speed := measured(services, spec)) is not None:
            return speed
    return None


def _same(spec: RunSpec, plan: Plan) -> bool:
    files = {one.attachment.sha256 for one in plan.attachments}
    return spec.recipe.hash == plan.recipe.hash and {one.sha256 for one in spec.attachments or ()} == files
