"""Damaged: runs of a dataset whose description cannot be read are made readable where it is known what they were.

A run's id ends in a hash of its plan. The manifests have the images, so a plan made of them and of what is ordered now
that has the very hash is the run's own: its description follows.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate, pairwise

from batchimg.beats import began
from batchimg.connect import Services
from batchimg.dataset import Dataset, Rejected
from batchimg.events import Observer, Told
from batchimg.parallel import in_parallel
from batchimg.plan import Plan, is_named, spec_of
from batchimg.run_document import read_run
from batchimg_worker.blob_names import rejected_path, run_path
from batchimg_worker.contract import ImageEntry, ImageResult, ManifestHeader, RunSpec, Source
from batchimg_worker.documents import dump, parse, parse_lines
from batchimg_worker.errors import ContractError, ContractVersionError, RecipeError, StorageError, WorkerError

READERS = 16
HASH = 11  # characters, with the dash before it


@dataclass(frozen=True, slots=True)
class _Damaged:
    """A run whose description cannot be read, and what it was, where that is known."""

    run: str
    error: WorkerError
    spec: RunSpec | None


def mend_damaged(services: Services, plan: Plan, name: str, source: Source, observer: Observer) -> None:
    """Write down anew what the runs of this name were that cannot be read; tell of those that stay unknown.

    ``plan`` is that of the whole dataset as it is now; its checksums are not looked at.
    """
    for one in _damaged(services, plan, name, source):
        if one.spec is None:
            _tell_of_unknown(one, observer)
        else:
            services.runs.write(run_path(one.run), dump(one.spec))
            observer(Told(f"{run_path(one.run)} was damaged: it is written anew, as the run's manifests tell it."))


def as_if_mended(services: Services, plan: Plan, name: str, source: Source, observer: Observer) -> Services:
    """The services as they would be after `mend_damaged`, of which the observer is told. Nothing is written."""
    instead: dict[str, bytes] = {}
    for one in _damaged(services, plan, name, source):
        if one.spec is None:
            _tell_of_unknown(one, observer)
        else:
            instead[run_path(one.run)] = dump(one.spec)
            observer(Told(f"{run_path(one.run)} is damaged: without --plan it is written anew, from its manifests."))
    return replace(services, instead=instead) if instead else services


def _tell_of_unknown(one: _Damaged, observer: Observer) -> None:
    again = "what that run has done of these images is done again"
    observer(Told(f"{one.error.message}: {again}. To be rid of it: batchimg delete {one.run}"))


def _damaged(services: Services, plan: Plan, name: str, source: Source) -> Iterator[_Damaged]:
    named = [run for run in services.runs.folders() if is_named(run, name)]
    faults = in_parallel(lambda run: (run, _fault(services, run)), named, READERS)
    for run, error in sorted(((run, error) for run, error in faults if error is not None), key=lambda one: one[0]):
        found = None if isinstance(error, ContractVersionError | RecipeError) else _known(services, run, plan, source)
        could = _with_parents(found, run, source, (None, *named)) if found is not None else ()
        spec = next((one for one in could if one.run == run), None)
        if spec is not None:
            before_its_children = began(services, run) or spec.created
            spec = spec.model_copy(update={"created": before_its_children})
        yield _Damaged(run, error, spec)


def _fault(services: Services, run: str) -> WorkerError | None:
    """Why a run's description cannot be read; None where it can, or where there is none."""
    try:
        read_run(services.runs, run)
    except (ContractError, RecipeError) as error:
        return error
    except StorageError as error:
        if error.code != "BlobNotFound":
            raise
    return None


def _known(services: Services, run: str, plan: Plan, source: Source) -> Plan | None:
    """What is ordered now, of the images and the chunks that a run's manifests have; None where they do not tell."""
    try:
        chunks = list(_manifests(services, run))
        rejected = tuple(_rejected(services, run))
    except ContractError:
        return None
    entries = [entry for chunk in chunks for entry in chunk]
    if any(one.band is not None or one.joins is not None for one in entries):
        return None  # which image is split over how many tasks is not known from one of them
    ends = list(accumulate(map(len, chunks), initial=0))
    dataset = Dataset(
        label=plan.dataset.label,
        name=plan.dataset.name,
        root=None,
        source=source,
        paths=[one.path for one in entries],
        sizes=array("Q", (one.size for one in entries)),
        digests=b"".join(bytes.fromhex(one.md5) if one.md5 else bytes(16) for one in entries),
        rejected=rejected,
        tags=[one.etag or "" for one in entries] if any(one.etag for one in entries) else [],
    )
    return replace(plan, dataset=dataset, chunks=[range(*pair) for pair in pairwise(ends)], split=())


def _with_parents(plan: Plan, run: str, source: Source, parents: Iterable[str | None]) -> Iterator[RunSpec]:
    """The descriptions that a plan would have, were each of these runs its parent."""
    for parent in parents:
        yield spec_of(replace(plan, parent=parent), run[:-HASH], source, datetime.now(UTC))


def _manifests(services: Services, run: str) -> Iterator[list[ImageEntry]]:
    for blob in services.runs.list(f"{run}/manifests/"):
        lines = services.runs.read_lines(blob.path)
        parse(ManifestHeader, next(lines, b""), blob.path)
        yield list(parse_lines(ImageEntry, lines, blob.path))


def _rejected(services: Services, run: str) -> Iterator[Rejected]:
    path = rejected_path(run)
    if services.runs.stat(path) is not None:
        for one in parse_lines(ImageResult, services.runs.read_lines(path), path):
            yield Rejected(one.path, one.size, one.error_type or "", one.message or "")
