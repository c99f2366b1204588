"""Damaged results: found, told, and taken away by who submits their run again, so that their chunks are done again.

`why` asks for damaged manifests too; a submit that has something to do writes all manifests anew.

A result carries its counts in its metadata; one without them was written by somebody else, and is read. A ledger that
was made of just these results, and in which nobody is lost, vouches for all. Where all chunks have a result and no
ledger vouches for them, all are read.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from batchimg.collect import number_of
from batchimg.connect import Services
from batchimg.events import Observer, Told
from batchimg.parallel import in_parallel
from batchimg_worker.blob_names import ledger_path, manifest_path
from batchimg_worker.contract import HEARTBEAT_METADATA, ImageEntry, ManifestHeader, RunSpec
from batchimg_worker.documents import parse, parse_lines
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
from batchimg_worker.results import records_of
from batchimg_worker.storage import Blob

READERS = 16


@dataclass(frozen=True, slots=True)
class Damage:
    """A result that is not what the contract says: ``message`` names it and what is wrong."""

    path: str
    etag: str
    message: str


def damaged_results(services: Services, spec: RunSpec, most: int | None = None) -> list[Damage]:
    """The damaged results of a run, in the order of their names; at most so many are read."""
    found = list(services.runs.list(f"{spec.run}/results/", metadata=True))
    found.sort(key=lambda blob: HEARTBEAT_METADATA in blob.metadata)
    if len(found) < spec.chunks:
        found = [blob for blob in found if HEARTBEAT_METADATA not in blob.metadata]
    elif _is_vouched_for(services, spec, found):
        return []
    looked_at = in_parallel(lambda blob: _damage(services, spec, blob), found[:most], READERS)
    return sorted((one for one in looked_at if one is not None), key=lambda one: one.path)


def remove_damaged_results(services: Services, spec: RunSpec, observer: Observer) -> None:
    """Take away what is damaged, and nothing that was written meanwhile: a chunk without a result is done again."""
    for one in damaged_results(services, spec):
        if services.runs.delete(one.path, one.etag):
            observer(Told(f"{one.message}: it is taken away, and its chunk is done again."))


def damage_of(services: Services, spec: RunSpec, most: int) -> tuple[str, ...]:
    """What is wrong with a run's results, and with the manifests of chunks without one; so many of each are read."""
    results = damaged_results(services, spec, most)
    damaged = {one.path for one in results}
    there = {number_of(blob.path) for blob in services.runs.list(f"{spec.run}/results/") if blob.path not in damaged}
    without = islice((chunk for chunk in range(spec.chunks) if chunk not in there), most)
    manifests = in_parallel(lambda chunk: _damaged_manifest(services, spec.run, chunk), without, READERS)
    return (*(one.message for one in results), *sorted(one for one in manifests if one is not None))


def _damaged_manifest(services: Services, run: str, chunk: int) -> str | None:
    path = manifest_path(run, chunk)
    lines = services.runs.read_lines(path)
    try:
        header = parse(ManifestHeader, next(lines, b""), path)
        found = sum(1 for _ in parse_lines(ImageEntry, lines, path))
    except ContractError as error:
        return error.message
    except StorageError as error:
        if error.code != "BlobNotFound":
            raise
        return None  # the same submit writes it
    return None if found >= header.images else f"{path} ends after {found:,} of {header.images:,} images"


def _damage(services: Services, spec: RunSpec, blob: Blob) -> Damage | None:
    try:
        deque(records_of(services.runs.read_lines(blob.path), spec.run, number_of(blob.path)), maxlen=0)
    except ContractVersionError:
        raise
    except ContractError as error:
        return Damage(blob.path, blob.etag, error.message)
    except StorageError as error:
        if error.code != "BlobNotFound":  # somebody else has taken it away meanwhile
            raise
    return None


def _is_vouched_for(services: Services, spec: RunSpec, results: Iterable[Blob]) -> bool:
    from batchimg_worker.ledger import FINGERPRINT, STATES, Found  # late: it loads pyarrow

    ledger = services.runs.stat(ledger_path(spec.run))
    if ledger is None:
        return False
    same = Found({number_of(blob.path): blob for blob in results}).fingerprint == ledger.metadata.get(FINGERPRINT)
    rows = {state: int(ledger.metadata.get(state, 0)) for state in STATES}
    return same and not rows["lost"] and sum(rows.values()) >= spec.images
