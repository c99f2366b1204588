"""A task: one chunk of a run, from its manifest to its result, which is written last."""

import logging
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from batchimg_worker.attachments import operations_of, recipe_of
from batchimg_worker.bands import BandStore
from batchimg_worker.blob_names import (
    OUTPUTS,
    RUNS,
    hand_path,
    heartbeat_path,
    manifest_path,
    part_path,
    result_path,
    run_path,
)
from batchimg_worker.contract import HEARTBEAT_METADATA, ImageEntry, ImageResult, ManifestHeader, ResultHeader, RunSpec
from batchimg_worker.documents import dump, parse, parse_lines
from batchimg_worker.errors import ContractError, TaskStopped
from batchimg_worker.guard import Reason, Turn
from batchimg_worker.heartbeat import Heart
from batchimg_worker.journal import Journal
from batchimg_worker.memory import most_bytes
from batchimg_worker.node import Node, peak_memory_bytes
from batchimg_worker.pipeline import Pipeline, Places
from batchimg_worker.storage import LONG, BlobStore, Container
from batchimg_worker.version import __version__

SPOOLED = 8 << 20  # records beyond this go to a file until the result is written

VANISHED = "the task died with this image in hand, and again when it was done alone: its memory ran out, or its node"

log = logging.getLogger(__name__)


def run_task(node: Node, run: str, chunk: int, stop: threading.Event, turn: Turn) -> bool:
    """Do one chunk. Doing it twice changes nothing: each picture is written whole, and the result last.

    False where images are left that the turn leaves out. Raises ContractError before an original is touched,
    StorageError where storage does not answer, TaskStopped where ``stop`` was set before the end.
    """
    store = BlobStore(node.storage_endpoint, node.storage_key, patience=LONG)
    runs = store.container(RUNS)
    if runs.stat(result_path(run, chunk)) is not None:
        log.info("chunk %d of run %s is done already", chunk, run)
        for path in (part_path, hand_path, heartbeat_path):  # of an attempt that ended before it could
            runs.delete(path(run, chunk))
        return True
    spec = parse(RunSpec, runs.read(run_path(run)), run_path(run))
    spec = spec.model_copy(update={"recipe": recipe_of(spec, runs)})
    header, entries = _manifest(runs, run, chunk)
    turn.hand.limit(spec.limits.image_seconds, most_bytes(spec.limits))
    with closing(Journal.open(turn.journal, runs, (run, chunk), node)) as journal:
        heart = Heart(runs, journal, node.task_dir, stop)
        heart.progress.total = header.images
        log.info("chunk %d of run %s: %d images, batchimg %s on %s", chunk, run, header.images, __version__, node.id)
        if journal.careful:
            turn.hand.before = lambda path: journal.announce(runs, path)
        bands = BandStore(runs, run, chunk)
        places = Places(_inputs(spec, store), store.container(OUTPUTS), bands)
        pipeline = Pipeline(spec, places, stop, turn.hand)
        with heart:
            _work(pipeline, entries, runs, _Chunk(journal, heart, turn, operations_of(spec)))
            if not _is_over(heart, journal, turn, stop):
                return False
            _write_result(runs, journal, heart)
        heart.finish()
        _clear(runs, journal)
        if spec.limits.split is not None:
            bands.clear(_manifest(runs, run, chunk)[1])
    return True


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk in work."""

    journal: Journal
    heart: Heart
    turn: Turn
    operations: tuple[str, ...] | None

    def keep(self, record: ImageResult) -> None:
        """Write a record down, and count it."""
        self.journal.add(record.model_copy(update={"operations": self.operations}))
        _count(self.heart, record)


def _work(pipeline: Pipeline, entries: Iterator[ImageEntry], runs: Container, chunk: _Chunk) -> None:
    """Do what the turn wants of the chunk; what the journal has is done."""
    journal = chunk.journal
    if journal.count:
        log.info("%d of them are done already", journal.count)
    for record in journal.records():
        _count(chunk.heart, record)
    condemned = _condemned(journal, chunk.turn)
    for record in _quarantined(runs, journal, condemned):
        chunk.keep(record)
    last: list[ImageEntry] = []
    for record in pipeline.run(_todo(entries, chunk, condemned, last)):
        chunk.keep(record)
    for record in pipeline.run(iter(last)) if last else ():
        chunk.keep(record)


def _clear(runs: Container, journal: Journal) -> None:
    """Take away what only an unfinished chunk needs."""
    if journal.in_storage:
        runs.delete(part_path(journal.run, journal.chunk))
    if journal.careful:
        runs.delete(hand_path(journal.run, journal.chunk))


def _is_over(heart: Heart, journal: Journal, turn: Turn, stop: threading.Event) -> bool:
    """Whether the result can be written. Raises TaskStopped, and ContractError for a manifest that promises more."""
    missing = heart.progress.total - journal.count
    if missing and stop.is_set():
        heart.flush()
        raise TaskStopped
    if missing and not turn.leave_out and turn.only is None:
        path = manifest_path(journal.run, journal.chunk)
        raise ContractError(f"{path} promises {heart.progress.total} images and has {journal.count}")
    return not missing


def _condemned(journal: Journal, turn: Turn) -> Mapping[str, Reason]:
    """Images that ended their worker, or the whole task with it, for the second time."""
    if journal.suspect is None or not journal.guilty:
        return turn.condemned
    return {journal.suspect: Reason("WorkerCrashed", VANISHED), **turn.condemned}


def _todo(
    entries: Iterator[ImageEntry], chunk: _Chunk, condemned: Mapping[str, Reason], last: list[ImageEntry]
) -> Iterator[ImageEntry]:
    """What is left but for the suspect: that is done last, for it may be innocent. Nodes vanish by themselves too."""
    journal, turn = chunk.journal, chunk.turn
    over = journal.earlier | turn.leave_out | condemned.keys()
    for entry in entries:
        if entry.path in over or turn.only not in {None, entry.path}:
            continue
        if entry.path == journal.suspect:
            last.append(entry)
        else:
            yield entry


def _quarantined(runs: Container, journal: Journal, condemned: Mapping[str, Reason]) -> Iterator[ImageResult]:
    """The records of images that ended their worker."""
    if not condemned:
        return
    for entry in _manifest(runs, journal.run, journal.chunk)[1]:
        reason = condemned.get(entry.path)
        if reason is not None and entry.path not in journal.earlier:
            yield ImageResult(
                path=entry.path,
                size=entry.size,
                md5=entry.md5,
                etag=entry.etag,
                status="quarantined",
                error_type=reason.error_type,
                message=reason.message,
                band=entry.band,
            )


def _manifest(runs: Container, run: str, chunk: int) -> tuple[ManifestHeader, Iterator[ImageEntry]]:
    path = manifest_path(run, chunk)
    lines = runs.read_lines(path)
    header = parse(ManifestHeader, next(lines, b""), path)
    if (header.run, header.chunk) != (run, chunk):
        raise ContractError(f"{path} belongs to chunk {header.chunk} of run {header.run}")
    return header, parse_lines(ImageEntry, lines, path)


def _inputs(spec: RunSpec, store: BlobStore) -> Container:
    url = spec.source.account_url
    account = store if url is None else BlobStore(url, patience=LONG)
    return account.container(spec.source.container)


def _count(heart: Heart, record: ImageResult) -> None:
    """Count an image; it is counted once, by the task that joins its bands."""
    if record.band is not None:
        return
    progress = heart.progress
    progress.bytes_in += record.size
    progress.bytes_out += sum(output.size for output in record.outputs)
    if record.status == "done":
        progress.done += 1
        progress.truncated += record.kept_truncated
    else:
        progress.fail(record.error_type or "Unknown")


def _write_result(runs: Container, journal: Journal, heart: Heart) -> None:
    progress, attempt = heart.progress, heart.attempt
    header = ResultHeader(
        run=journal.run,
        chunk=journal.chunk,
        worker_version=__version__,
        node=attempt.node,
        started=attempt.started,
        finished=datetime.now(UTC),
        done=progress.done,
        failed=progress.failed,
        bytes_in=progress.bytes_in,
        bytes_out=progress.bytes_out,
        peak_memory_bytes=peak_memory_bytes(),
        attempts=journal.attempts,
    )
    beat = dump(heart.beat("finished")).decode()
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED) as result:
        result.writelines(chain([dump(header) + b"\n"], journal.lines()))
        size = result.tell()
        result.seek(0)
        content = result.read() if size <= SPOOLED else result  # the client would move any file to the disk
        runs.write(result_path(journal.run, journal.chunk), content, metadata={HEARTBEAT_METADATA: beat})
    log.info("chunk %d of run %s: %d done, %d failed", journal.chunk, journal.run, progress.done, progress.failed)
