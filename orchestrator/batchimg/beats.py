"""Beats: how far each chunk of a run is, from one listing, 5,000 chunks a page."""

from datetime import datetime
from itertools import chain

from batchimg.connect import Services
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat, ResultHeader, parse
from batchimg_worker.errors import ContractError, StorageError
from batchimg_worker.storage import Blob, Container

HEARTBEATS, RESULTS = "heartbeats", "results"


def results_of(services: Services, run: str) -> dict[int, Heartbeat]:
    """The last heartbeat of each chunk that has a result; the result carries it."""
    return _beats(services.runs, f"{run}/{RESULTS}/")


def heartbeats_of(services: Services, run: str) -> dict[int, Heartbeat]:
    """The heartbeats of chunks, most of which have no result yet."""
    return _beats(services.runs, f"{run}/{HEARTBEATS}/")


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


def _beats(runs: Container, prefix: str) -> dict[int, Heartbeat]:
    """Heartbeats by chunk. Raises ContractError."""
    found = (_beat(runs, blob) for blob in runs.list(prefix, metadata=True))
    return {beat.chunk: beat for beat in found if beat is not None}


def _beat(runs: Container, blob: Blob) -> Heartbeat | None:
    """From the metadata; whoever copied the blob without it has left its content. None where it has gone meanwhile."""
    if HEARTBEAT_METADATA in blob.metadata:
        return parse(Heartbeat, blob.metadata[HEARTBEAT_METADATA], blob.path)
    try:
        first = next(runs.read_lines(blob.path), b"")
    except StorageError as error:
        if error.code == "BlobNotFound":
            return None
        raise
    if f"/{RESULTS}/" not in blob.path:
        return parse(Heartbeat, first, blob.path)
    header = parse(ResultHeader, first, blob.path)
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
    )
