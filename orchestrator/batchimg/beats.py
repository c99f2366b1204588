"""Beats: how far each chunk of a run is, from one listing, 5,000 chunks a page."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from batchimg.collect import number_of
from batchimg.connect import Services
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat
from batchimg_worker.documents import parse
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
from batchimg_worker.results import header_of, records_of
from batchimg_worker.storage import Blob, Container

HEARTBEATS, RESULTS = "heartbeats", "results"


@dataclass(frozen=True, slots=True)
class Results:
    """The last heartbeat of each chunk that has a result, and what is wrong with results that are damaged."""

    beats: dict[int, Heartbeat]
    damage: tuple[str, ...] = ()


def results_of(services: Services, run: str) -> dict[int, Heartbeat]:
    """The last heartbeat of each chunk that has a result; the result carries it."""
    return look_at_results(services, run).beats


def look_at_results(services: Services, run: str) -> Results:
    """The results of a run. Only one that carries no heartbeat is read: it was written by somebody else."""
    damage: list[str] = []
    return Results(_beats(services.runs, f"{run}/{RESULTS}/", damage), tuple(damage))


def heartbeats_of(services: Services, run: str) -> dict[int, Heartbeat]:
    """The heartbeats of chunks, most of which have no result yet; one that is damaged is not there."""
    return _beats(services.runs, f"{run}/{HEARTBEATS}/", [])


def began(services: Services, run: str) -> datetime | None:
    """When the first task of a run began, as far as its heartbeats can be read; None where none has."""
    found = [services.runs.list(f"{run}/{part}/", metadata=True) for part in (HEARTBEATS, RESULTS)]
    return min((start for blob in chain(*found) if (start := _start(services.runs, blob)) is not None), default=None)


def _start(runs: Container, blob: Blob) -> datetime | None:
    try:
        beat = _beat(runs, blob)
    except ContractError:
        return None
    return beat.started if beat is not None else None


def _beats(runs: Container, prefix: str, damage: list[str]) -> dict[int, Heartbeat]:
    """Heartbeats by chunk. Raises ContractVersionError."""
    found: dict[int, Heartbeat] = {}
    for blob in runs.list(prefix, metadata=True):
        try:
            beat = _beat(runs, blob)
        except ContractVersionError:
            raise
        except ContractError as error:
            damage.append(error.message)
            continue
        if beat is not None:
            found[beat.chunk] = beat
    return found


def _beat(runs: Container, blob: Blob) -> Heartbeat | None:
    """From the metadata; whoever copied the blob without it has left its content. None where it has gone meanwhile."""
    if HEARTBEAT_METADATA in blob.metadata:
        return parse(Heartbeat, blob.metadata[HEARTBEAT_METADATA], blob.path)
    try:
        if f"/{RESULTS}/" in blob.path:
            return _of_result(runs, blob.path)
        return parse(Heartbeat, next(runs.read_lines(blob.path), b""), blob.path)
    except StorageError as error:
        if error.code == "BlobNotFound":
            return None
        raise


def _of_result(runs: Container, path: str) -> Heartbeat:
    """What a whole result would carry. Raises ContractError where it is damaged."""
    run, _, name = path.partition(f"/{RESULTS}/")
    number = number_of(name)
    failed = [record for record in records_of(runs.read_lines(path), run, number) if record.status != "done"]
    header = header_of(runs.read_lines(path), run, number)
    return Heartbeat(
        chunk=header.chunk,
        state="finished",
        done=header.done,
        failed=header.failed,
        total=header.done + header.failed,
        bytes_in=header.bytes_in,
        bytes_out=header.bytes_out,
        node=header.node,
        started=header.started,
        updated=header.finished,
        attempt=header.attempts[-1].number if header.attempts else None,
        causes=dict(Counter(record.error_type or "Unknown" for record in failed)) or None,
    )
