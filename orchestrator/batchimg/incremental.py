"""Incremental: of a dataset that was done before, only what is new or has changed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from batchimg.canary import factor_of
from batchimg.chunk import Cut
from batchimg.collect import rejected
from batchimg.connect import Services
from batchimg.dataset import Dataset
from batchimg.deletion import is_being_deleted
from batchimg.errors import InputError
from batchimg.lineage import Lineage, lineage
from batchimg.plan import Plan, is_named, is_retry, make_plan, spec_of
from batchimg.run_document import read_run
from batchimg.runs import all_runs
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import RunSpec, Source
from batchimg_worker.errors import ContractError
from batchimg_worker.version import __version__


@dataclass(frozen=True, slots=True)
class Reduced:
    """A plan of what is new. ``base`` is the run it goes on from, None where there is none: then it is everything.

    ``unsent``: it has images that cannot be sent, and that no run has a record of. ``damage`` counts images of
    which a damaged result tells nothing, by what is wrong with it.
    """

    plan: Plan
    base: RunSpec | None
    unsent: bool = False
    damage: Mapping[str, int] = field(default_factory=dict)

    @property
    def nothing_new(self) -> bool:
        """Whether the base has all images as they are now."""
        return self.base is not None and not len(self.plan.dataset) and not self.unsent


def reduce_plan(services: Services, plan: Plan, name: str, source: Source, chunk_images: int | None) -> Reduced:
    """Leave out of a plan what the latest run of this name over the same images with the same recipe has.

    That is an image of the same path, size and checksum that is done; or that failed under the same limits and the
    same version: `retry` does those again. Where the very plan was submitted before, it is that run's, or what its
    retries have left of it.
    """
    own = _run(plan, name, source)
    is_there = services.runs.stat(run_path(own)) is not None
    base = _latest_retry(services, own, name) if is_there else _latest(services, plan, name, source)
    if base is None:
        return Reduced(plan, None)
    family = lineage(services, base, until_damage=True)
    if len(family) > 1:
        before = rest_of(services, plan, family[1:], chunk_images)
        if _run(before, name, source) == base.run:
            return Reduced(before, family[1], unsent=bool(before.dataset.rejected))
    return _rest(services, plan, family, chunk_images)


def foresee(services: Services, plan: Plan, name: str, source: Source, chunk_images: int | None) -> Reduced:
    """As `reduce_plan`, but where the very plan was submitted before: what that run has left, as its submit finds."""
    found = reduce_plan(services, plan, name, source, chunk_images)
    own = _run(found.plan, name, source)
    if services.runs.stat(run_path(own)) is None:
        return found
    try:
        spec = read_run(services.runs, own)
    except ContractError:  # its submit writes it anew, whatever it was
        return found
    family = lineage(services, spec, until_damage=True)
    return _rest(services, plan, family, chunk_images)


def _rest(services: Services, plan: Plan, family: Lineage, chunk_images: int | None) -> Reduced:
    damage: Counter[str] = Counter()
    rest = rest_of(services, plan, family, chunk_images, damage)
    if not rest.known:
        return Reduced(plan, None, damage=damage)
    return Reduced(rest, family[0], _has_unsent(services, plan, family), damage)


def _has_unsent(services: Services, plan: Plan, family: Lineage) -> bool:
    """Whether there are images that cannot be sent, of which these runs have no record."""
    wanted = {(one.path, one.error_type) for one in plan.dataset.rejected}
    known = ((one.path, one.error_type or "") for spec in family for one in rejected(services, spec)) if wanted else ()
    return bool(wanted.difference(known))


def check_is_there(services: Services, plan: Plan, name: str, source: Source) -> None:
    """Raise InputError where a plan was never submitted before."""
    run = _run(plan, name, source)
    if services.runs.stat(run_path(run)) is None:
        raise InputError(
            f"there is no run of these {len(plan.dataset):,} images to go on with",
            "Leave --resume out to start one; `batchimg runs` lists those there are.",
        )


def _run(plan: Plan, name: str, source: Source) -> str:
    return spec_of(plan, name, source, datetime.now(UTC)).run


def _latest(services: Services, plan: Plan, name: str, source: Source) -> RunSpec | None:
    files = frozenset(one.attachment.sha256 for one in plan.attachments)
    wanted = (source, plan.recipe.hash, files)
    found = (one for one in all_runs(services) if _described(one) == wanted)
    named = (one for one in found if is_named(one.run, name))
    return next((one for one in named if not is_being_deleted(services, one.run)), None)


def _latest_retry(services: Services, run: str, name: str) -> RunSpec | None:
    """The last of the retries of a run, one after the other; None where it has none."""
    by_parent: dict[str | None, RunSpec] = {}
    for spec in all_runs(services):
        if is_retry(spec.run, name) and not is_being_deleted(services, spec.run):
            by_parent.setdefault(spec.parent, spec)
    found = by_parent.pop(run, None)
    while found is not None and (following := by_parent.pop(found.run, None)) is not None:
        found = following
    return found


def _described(spec: RunSpec) -> tuple[Source, str, frozenset[str]]:
    return spec.source, spec.recipe.hash, frozenset(one.sha256 for one in spec.attachments or ())


def rest_of(
    services: Services,
    plan: Plan,
    family: Lineage,
    chunk_images: int | None,
    damage: Counter[str] | None = None,
) -> Plan:
    """The plan without what a run and its parents have; cut by the speed that a canary among them shows.

    ``damage`` counts images of which a damaged result tells nothing.
    """
    base = family[0]
    again = base.limits != plan.limits or base.client_version != __version__
    undone = {"lost"} | ({"failed", "quarantined"} if again else set())
    if not services.batch.jobs(base.run):  # its submit died before it had a job: nobody will do what waits there
        undone.add("waiting")
    has = bytearray(len(plan.dataset))
    failed = 0
    for index, state in _found(services, plan.dataset, family, undone, Counter() if damage is None else damage):
        has[index] = 1
        failed += state not in {"done", "waiting"}
    left = plan.dataset.only([index for index, there in enumerate(has) if not there])
    cut = Cut(chunk_images, None if chunk_images else factor_of(services, family))
    made = make_plan(left, plan.instructions, plan.limits, cut)
    return replace(made, parent=base.run, known=sum(has), failed_before=failed)


def _found(
    services: Services, dataset: Dataset, family: Lineage, undone: set[str], damage: Counter[str]
) -> Iterator[tuple[int, str]]:
    """Images that the runs have as they are, index and state; ``undone`` are the states that do not count."""
    from batchimg.ledger import batches, damage_in  # late: it loads pyarrow, and most submits need none

    wanted = ["path", "size", "md5", "etag", "status", "outputs", "error_type", "message"]
    for batch in batches(services, family, wanted):
        damage.update(damage_in(batch))
        columns = (batch.column(name).to_pylist() for name in ("path", "size", "md5", "etag", "status"))
        for row, (path, size, md5, etag, state) in enumerate(zip(*columns, strict=True)):
            index = dataset.index(path)
            if index is None or state in undone or not dataset.is_same(index, size, md5, etag):
                continue
            if dataset.has_rival(path) and path in _names(batch.column("outputs")[row].as_py()):
                continue  # an original has come that needs the name of its results
            yield index, state


def _names(outputs: list[dict[str, Any]]) -> set[str]:
    return {output["path"] for output in outputs or ()}
