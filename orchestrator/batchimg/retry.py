"""Retry: a new run with exactly what a run and its parents have not done."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from batchimg.budget import limited
from batchimg.chunk import Cut
from batchimg.connect import Services, check_pool
from batchimg.dataset import Dataset
from batchimg.errors import InputError
from batchimg.events import Observer, nobody
from batchimg.ledger import batches, cause_of, undone
from batchimg.lineage import Lineage, lineage
from batchimg.plan import Plan, is_canary, make_plan, name_of, retry_name, spec_of
from batchimg.quote import quote
from batchimg.recipes import Attached, Instructions
from batchimg.runs import latest_descendant
from batchimg.split import bands_before
from batchimg.submit import Submitted, finish_submit, submit
from batchimg.watch import status
from batchimg.words import count
from batchimg_worker.blob_names import attachment_path
from batchimg_worker.contract import RunSpec
from batchimg_worker.naming import rivals

QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the images that are not done are tried again; ``cause`` is a part of the kind or the message."""

    cause: str | None = None
    include_quarantined: bool = False

    def __call__(self, row: dict[str, Any]) -> bool:
        """Whether the image of this row is wanted."""
        if row["status"] == QUARANTINED and not self.include_quarantined:
            return False
        if self.cause is None:
            return True
        message = row["message"] or ""
        texts = (row["error_type"] or "", message, cause_of(message, row["path"]))
        return any(self.cause.lower() in text.lower() for text in texts)


class NothingToRetry(InputError):  # noqa: N818 - it reads as what it says
    """Nothing is left of a run that is to be done again."""

    def __init__(self, spec: RunSpec, hint: str) -> None:
        super().__init__(f"nothing of run {spec.run} is to be tried again", hint)
        self.spec = spec


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retry would do. ``quarantined`` images are left alone, ``unsent`` ones were never in blob storage."""

    of: RunSpec
    plan: Plan
    name: str
    quarantined: int
    unsent: int


def plan_retry(services: Services, spec: RunSpec, wanted: Wanted) -> Retry:
    """What is not done of a run and of those that it goes on from.

    Where the run was retried before, the retry goes on from the latest one. Raises InputError where the run is not
    over, NothingToRetry where nothing is left to do.
    """
    family = lineage(services, latest_descendant(services, spec))
    tip = family[0]
    now = status(services, tip)
    if now.state == "deleting":
        raise InputError(f"run {tip.run} is being deleted", f"Finish that: batchimg delete {tip.run}; or submit anew.")
    if now.is_over:
        return _plan(services, family, wanted)
    if len(family) > 1:  # a retry that was interrupted while it was submitted is gone on with
        again = _of_rest(services, family[1:], _rest(services, family[1:], wanted))
        if spec_of(again.plan, again.name, tip.source, datetime.now(UTC)).run == tip.run:
            return again
    raise InputError(
        f"run {tip.run} is not over ({now.state})",
        f"Wait for it: batchimg status {tip.run} --watch. If its submit was interrupted, type that again.",
    )


def _check_known(gone: Counter[str]) -> None:
    """Raise InputError where nobody knows any more which images a chunk had that is not done."""
    for run, images in gone.items():
        raise InputError(
            f"{count(images, 'image')} of run {run} have no record, and the manifests that name them are gone",
            "The same `batchimg submit` writes them anew, and does what is left.",
        )


def _plan(services: Services, family: Lineage, wanted: Wanted) -> Retry:
    rest = _rest(services, family, wanted)
    _check_known(rest.gone)
    if not rest.paths:
        raise NothingToRetry(family[0], _hint(family[0], rest, wanted))
    return _of_rest(services, family, rest)


def _rest(services: Services, family: Lineage, wanted: Wanted) -> "_Rest":
    rest = _Rest(frozenset(one.run for one in family if one.limits.split is not None))
    for row in rest.sent(undone(services, family, rest.states, rest.gone), wanted):
        rest.add(row)
    return rest


def _of_rest(services: Services, family: Lineage, rest: "_Rest") -> Retry:
    tip, settings = family[0], services.settings
    bands = bands_before(services.runs, rest.of_split_runs, settings.upload_threads)
    dataset = replace(rest.dataset(tip), beside=_beside(services, family, rest.paths), bands=bands)
    limits = settings.limits.model_copy(update={"split": max(bands.values())}) if bands else settings.limits
    plan = make_plan(dataset, instructions_of(services, tip), limits, Cut(settings.chunk_images))
    plan = replace(plan, parent=tip.run, known=rest.states["done"])
    return Retry(tip, plan, _name(family), rest.quarantined, rest.unsent)


def _beside(services: Services, family: Lineage, paths: list[str]) -> list[str]:
    """The paths, and those of other images of the family whose results could get their names."""
    wanted = {rival for path in paths for rival in rivals(path)}
    there = set(paths)
    if wanted - there:
        for batch in batches(services, family, ["path"]):
            there |= wanted.intersection(batch.column("path").to_pylist())
    return sorted(there)


def instructions_of(services: Services, spec: RunSpec) -> Instructions:
    """What a run was told to do, with the files that it brought along."""
    files = (Attached(one, services.runs.read(attachment_path(spec.run, one))) for one in spec.attachments or ())
    return Instructions(spec.recipe, tuple(files))


def start_retry(services: Services, retry: Retry, observer: Observer = nobody) -> Submitted:
    """Start it, or go on with it where it was interrupted. Raises SettingsError where it is dearer than `max_cost`."""
    check_pool(services)
    finish_submit(services, retry.of)  # the run is over, but its submit may have been killed before its last call
    if services.settings.max_cost is not None:
        services = limited(services, quote(services.settings, retry.plan, services), observer)
    return submit(retry.plan, retry.name, retry.of.source, services, observer)


class _Rest:
    """What is to be done again, as columns.

    ``of_split_runs`` are the chunks whose images some of these runs may have split, with the images.
    """

    def __init__(self, split_runs: frozenset[str]) -> None:
        self._split_runs = split_runs
        self.of_split_runs: dict[tuple[str, int], list[str]] = {}
        self.paths: list[str] = []
        self._sizes = array("Q")
        self._digests = bytearray()
        self._tags: list[str] = []
        self.quarantined = self.unsent = 0
        self.states = Counter[str]()
        self.gone = Counter[str]()

    def sent(
        self, rows: Iterator[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]
    ) -> Iterator[dict[str, Any]]:
        for row in rows:
            if row["chunk"] is None:
                self.unsent += 1
            elif wanted(row):
                yield row
            elif row["status"] == QUARANTINED:
                self.quarantined += 1

    def add(self, row: dict[str, Any]) -> None:
        self.paths.append(row["path"])
        if row["run"] in self._split_runs:
            self.of_split_runs.setdefault((row["run"], row["chunk"]), []).append(row["path"])
        self._sizes.append(row["size"])
        self._digests += bytes.fromhex(row["md5"]) if row["md5"] else bytes(16)
        self._tags.append(row["etag"] or "")

    def dataset(self, spec: RunSpec) -> Dataset:
        everything = Dataset(
            label=spec.dataset,
            name="retry",
            root=None,
            source=spec.source,
            paths=self.paths,
            sizes=self._sizes,
            digests=bytes(self._digests),
            tags=self._tags if any(self._tags) else [],
        )
        return everything.only(sorted(range(len(self.paths)), key=self.paths.__getitem__))


def _name(family: Lineage) -> str:
    """`photos-r2` for the second retry in a row of `photos-…`, whose canary does not count."""
    return retry_name(name_of(family[-1].run), sum(not is_canary(spec.run) for spec in family) or 1)


def _hint(tip: RunSpec, rest: _Rest, wanted: Wanted) -> str:
    if wanted.cause is not None:
        return f"`batchimg failures {tip.run}` lists the causes; --cause takes a part of one."
    parts = []
    if rest.quarantined:
        parts.append(f"{rest.quarantined:,} quarantined images are tried with --include-quarantined.")
    if rest.unsent:
        parts.append(f"{rest.unsent:,} images were never sent: mend them, and type the submit again.")
    return " ".join(parts) or "Every image is done."
