"""Incremental: of a dataset that was done before, only what is new or has changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from batchimg.plan import Plan, is_named, make_plan, spec_of
from batchimg.runs import all_runs
from batchimg_worker.contract import RunSpec, Source, run_path
from batchimg_worker.version import __version__


@dataclass(frozen=True, slots=True)
class Reduced:
    """A plan of what is new. ``base`` is the run it goes on from, None where there is none: then it is everything.

    ``unsent``: it has images that cannot be sent, and that no run has a record of.
    """

    plan: Plan
    base: RunSpec | None
    unsent: bool = False

    @property
    def nothing_new(self) -> bool:
        """Whether the base has all images as they are now."""
        return self.base is not None and not len(self.plan.dataset) and not self.unsent


def reduce_plan(services: Services, plan: Plan, name: str, source: Source, chunk_images: int | None) -> Reduced:
    """Leave out of a plan what the latest run of this name over the same images with the same recipe has.

    That is an image of the same path, size and checksum that is done; or that failed under the same limits and the
    same version: `retry` does those again. Where the very plan was submitted before, it is that run's.
    """
    if services.runs.stat(run_path(_run(plan, name, source))) is not None:
        return Reduced(plan, None)
    base = _latest(services, plan, name, source)
    if base is None:
        return Reduced(plan, None)
    family = lineage(services, base)
    if len(family) > 1:
        before = rest_of(services, plan, family[1:], chunk_images)
        if _run(before, name, source) == base.run:
            return Reduced(before, family[1], unsent=bool(before.dataset.rejected))
    rest = rest_of(services, plan, family, chunk_images)
    return Reduced(rest, base, _has_unsent(services, plan, family)) if rest.known else Reduced(plan, None)


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


def _described(spec: RunSpec) -> tuple[Source, str, frozenset[str]]:
    return spec.source, spec.recipe.hash, frozenset(one.sha256 for one in spec.attachments or ())


def rest_of(services: Services, plan: Plan, family: Lineage, chunk_images: int | None) -> Plan:
    """The plan without what a run and its parents have; cut by the speed that a canary among them shows."""
    base = family[0]
    again = base.limits != plan.limits or base.client_version != __version__
    undone = {"lost"} | ({"failed", "quarantined"} if again else set())
    if not services.batch.jobs(base.run):  # its submit died before it had a job: nobody will do what waits there
        undone.add("waiting")
    has = bytearray(len(plan.dataset))
    for index in _found(services, plan.dataset, family, undone):
        has[index] = 1
    left = plan.dataset.only([index for index, there in enumerate(has) if not there])
    cut = Cut(chunk_images, None if chunk_images else factor_of(services, family))
    made = make_plan(left, plan.instructions, plan.limits, cut)
    return replace(made, parent=base.run, known=sum(has))


def _found(services: Services, dataset: Dataset, family: Lineage, undone: set[str]) -> Iterator[int]:
    """Indexes of images that the runs have as they are; ``undone`` are the states that do not count."""
    from batchimg.ledger import batches  # late: it loads pyarrow, and most submits need none

    for batch in batches(services, family, ["path", "size", "md5", "etag", "status", "outputs"]):
        columns = (batch.column(name).to_pylist() for name in ("path", "size", "md5", "etag", "status"))
        for row, (path, size, md5, etag, state) in enumerate(zip(*columns, strict=True)):
            index = dataset.index(path)
            if index is None or state in undone or not dataset.is_same(index, size, md5, etag):
                continue
            if dataset.has_rival(path) and path in _names(batch.column("outputs")[row].as_py()):
                continue  # an original has come that needs the name of its results
            yield index


def _names(outputs: list[dict[str, Any]]) -> set[str]:
    return {output["path"] for output in outputs or ()}
