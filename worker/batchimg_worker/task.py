"""A task: one chunk of a run, from its manifest to its result, which is written last."""

import logging
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import IO

from batchimg_worker.contract import (
    HEARTBEAT_METADATA,
    OUTPUTS,
    RUNS,
    ImageEntry,
    ImageResult,
    ManifestHeader,
    ResultHeader,
    RunSpec,
    dump,
    manifest_path,
    parse,
    parse_lines,
    result_path,
    run_path,
)
from batchimg_worker.errors import ContractError
from batchimg_worker.heartbeat import Heart
from batchimg_worker.node import Node, peak_memory_bytes
from batchimg_worker.pipeline import Pipeline
from batchimg_worker.storage import LONG, BlobStore, Container
from batchimg_worker.version import __version__

SPOOLED = 8 << 20  # records beyond this go to a file until the result is written

log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - not an error: the node is going away, and Batch runs the task again
    """The task was told to stop before its chunk was done."""


def run_task(node: Node, run: str, chunk: int, stop: threading.Event) -> None:
    """Do one chunk. Doing it twice changes nothing: each picture is written whole, and the result last.

    Raises ContractError before an original is touched, StorageError where storage does not answer, Stopped where
    ``stop`` was set before the end.
    """
    store = BlobStore(node.storage_endpoint, node.storage_key, patience=LONG)
    runs = store.container(RUNS)
    if runs.stat(result_path(run, chunk)) is not None:
        log.info("chunk %d of run %s is done already", chunk, run)
        return
    spec = parse(RunSpec, runs.read(run_path(run)), run_path(run))
    header, entries = _manifest(runs, run, chunk)
    heart = Heart(runs, run, chunk, node.id, node.task_dir)
    heart.progress.total = header.images
    log.info("chunk %d of run %s: %d images, batchimg %s on %s", chunk, run, header.images, __version__, node.id)
    pipeline = Pipeline(spec, _inputs(spec, store), store.container(OUTPUTS), stop)
    with heart, tempfile.SpooledTemporaryFile(max_size=SPOOLED) as records:
        for record in pipeline.run(entries):
            records.write(dump(record) + b"\n")
            _count(heart, record)
        if stop.is_set():
            heart.send("stopped")
            raise Stopped
        _write_result(runs, run, chunk, heart, records)
    heart.send("finished")


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
    progress = heart.progress
    progress.bytes_in += record.size
    progress.bytes_out += sum(output.size for output in record.outputs)
    if record.status == "done":
        progress.done += 1
    else:
        progress.failed += 1


def _write_result(runs: Container, run: str, chunk: int, heart: Heart, records: IO[bytes]) -> None:
    progress = heart.progress
    if progress.done + progress.failed != progress.total:
        seen = progress.done + progress.failed
        raise ContractError(f"{manifest_path(run, chunk)} promises {progress.total} images and has {seen}")
    header = ResultHeader(
        run=run,
        chunk=chunk,
        worker_version=__version__,
        node=heart.node,
        started=heart.started,
        finished=datetime.now(UTC),
        done=progress.done,
        failed=progress.failed,
        bytes_in=progress.bytes_in,
        bytes_out=progress.bytes_out,
        peak_memory_bytes=peak_memory_bytes(),
    )
    records.seek(0)
    beat = dump(heart.beat("finished")).decode()
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED) as result:
        result.writelines(chain([dump(header) + b"\n"], records))
        result.seek(0)
        runs.write(result_path(run, chunk), result, metadata={HEARTBEAT_METADATA: beat})
    log.info("chunk %d of run %s: %d done, %d failed", chunk, run, progress.done, progress.failed)
