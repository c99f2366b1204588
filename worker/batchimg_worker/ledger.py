"""The ledger: all results of a run in one Parquet file, one row an image.

A run's last task merges it; so can a laptop. Memory is that of some results at a time, whatever the size of the run.
An image of a chunk that has neither result nor part has a row too: it is lost, and the row says why as far as blob
storage knows. So has one of which a damaged result says nothing. An image that no document names any more has none:
there are fewer rows than the run has images.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from batchimg_worker.blob_names import heartbeat_path, ledger_path, manifest_path, part_path, rejected_path, result_path
from batchimg_worker.contract import (
    HEARTBEAT_METADATA,
    Attempt,
    Heartbeat,
    ImageEntry,
    ImageResult,
    ManifestHeader,
    PartHeader,
    RunSpec,
)
from batchimg_worker.documents import ANEW, parse, parse_lines, whole_lines
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
from batchimg_worker.results import DAMAGED, check_count, header_of
from batchimg_worker.storage import Blob, Container

STATES = ("done", "failed", "quarantined", "lost", "waiting")
FINGERPRINT = "fingerprint"  # metadata of the blob: of which results it is made
ROWS_AT_ONCE = 2_000
ROWS_A_GROUP = 50_000
READ_AHEAD = 8
READ_WHOLE_BYTES = 8 << 20  # a larger result is read as a stream

_OUTPUT = pa.struct(
    [
        *(("variant", pa.string()), ("path", pa.string()), ("size", pa.int64()), ("md5", pa.string())),
        *(("width", pa.int32()), ("height", pa.int32())),
    ]
)
_SECONDS = pa.struct([(stage, pa.float32()) for stage in ("fetch", "decode", "compute", "encode", "put")])
SCHEMA = pa.schema(
    [
        *(("path", pa.string()), ("size", pa.int64()), ("md5", pa.string()), ("status", pa.string())),
        *(("error_type", pa.string()), ("message", pa.string()), ("width", pa.int32()), ("height", pa.int32())),
        *(("outputs", pa.list_(_OUTPUT)), ("measures", pa.string()), ("notes", pa.list_(pa.string()))),
        *(("seconds", _SECONDS), ("peak_memory_bytes", pa.int64()), ("run", pa.string())),
        *(("recipe_hash", pa.string()), ("chunk", pa.int32()), ("attempt", pa.int32()), ("job", pa.string())),
        *(("node", pa.string()), ("worker_version", pa.string()), ("operations", pa.list_(pa.string()))),
        ("etag", pa.string()),
    ],
    metadata={"schema_version": "1"},
)
_FEW_VALUES = ["status", "error_type", "message", "run", "recipe_hash", "job", "node", "worker_version"]

_Row = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge found. ``rows`` by status; ``fingerprint`` is that of the results it was made of."""

    rows: Mapping[str, int]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Found:
    """The results and parts of a run, by chunk."""

    results: dict[int, Blob] = field(default_factory=dict)
    parts: dict[int, Blob] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Another one as soon as a result is written."""
        digest = hashlib.sha256()
        for kind in (self.results, self.parts):
            for chunk in sorted(kind):
                digest.update(f"{kind[chunk].path}\0{kind[chunk].etag}\n".encode())
        return digest.hexdigest()


def find(runs: Container, run: str) -> Found:
    """What there is of a run: two listings, 5,000 chunks a request. A part counts where there is no result."""
    results = _by_chunk(runs, f"{run}/results/")
    parts = {number: blob for number, blob in _by_chunk(runs, f"{run}/parts/").items() if number not in results}
    return Found(results, parts)


def publish(runs: Container, run: str, file: Path, merged: Merged) -> None:
    """Put a ledger into blob storage, all of it or nothing."""
    metadata = {FINGERPRINT: merged.fingerprint, **{state: str(merged.rows.get(state, 0)) for state in STATES}}
    with file.open("rb") as content:
        runs.write(ledger_path(run), content, metadata=metadata)


def merge(runs: Container, spec: RunSpec, to: Path, *, over: bool) -> Merged:
    """Write a run's ledger to a file. ``over``: an image without a record is lost, and not waiting.

    Raises StorageError, and ContractVersionError for a result of another version.
    """
    found = find(runs, spec.run)
    try:
        counts = _write(to, _rows(_Reader(runs, spec, found), over=over))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):  # of Arrow, or on the way to it
        counts = _write(to, _rows(_Reader(runs, spec, found, strict=True), over=over))
    return Merged(counts, found.fingerprint)


def _write(to: Path, rows: Iterator[_Row]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    with pq.ParquetWriter(to, SCHEMA, compression="zstd", use_dictionary=_FEW_VALUES) as writer:
        group: list[pa.RecordBatch] = []
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            counts.update(row["status"] for row in batch)
            group.append(pa.RecordBatch.from_pylist(batch, schema=SCHEMA))
            if sum(len(one) for one in group) >= ROWS_A_GROUP:
                writer.write_table(pa.Table.from_batches(group))
                group.clear()
        if group:
            writer.write_table(pa.Table.from_batches(group))
    return dict(counts)


def _by_chunk(runs: Container, prefix: str) -> dict[int, Blob]:
    return {int(Path(blob.path).stem): blob for blob in runs.list(prefix) if Path(blob.path).stem.isdecimal()}


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a merge reads. ``strict`` is slow: each record is checked, not only that it is one of an image."""

    runs: Container
    spec: RunSpec
    found: Found
    strict: bool = False

    def content(self, chunk: int) -> Iterator[bytes] | None:
        """The lines of a chunk's result, else of its part; None where it has neither."""
        blob = self.found.results.get(chunk) or self.found.parts.get(chunk)
        if blob is None:
            return None
        if blob.size > READ_WHOLE_BYTES:
            return self.runs.read_lines(blob.path)
        try:
            return iter(self.runs.read(blob.path).splitlines())
        except StorageError as error:
            if error.code == "BlobNotFound" and chunk not in self.found.results:
                return None  # its chunk has been finished meanwhile
            raise

    def contents(self) -> Iterator[tuple[int, Iterator[bytes] | None]]:
        """Chunks in order with their lines; some are read ahead."""
        waiting: deque[tuple[int, Future[Iterator[bytes] | None]]] = deque()
        chunks: Iterable[int] = range(self.spec.chunks)
        with ThreadPoolExecutor(READ_AHEAD // 2, thread_name_prefix="results") as readers:
            for chunk in chunks:
                waiting.append((chunk, readers.submit(self.content, chunk)))
                if len(waiting) >= READ_AHEAD:
                    number, lines = waiting.popleft()
                    yield number, lines.result()
            while waiting:
                number, lines = waiting.popleft()
                yield number, lines.result()


def _rows(reader: _Reader, *, over: bool) -> Iterator[_Row]:
    spec = reader.spec
    every: _Row = {"run": spec.run, "recipe_hash": spec.recipe.hash}
    if spec.rejected:
        for record in _as_far_as_readable(_rejected(reader)):
            yield _row(record, every)
    for chunk, lines in reader.contents():
        yield from _of_chunk(reader, chunk, lines, over=over)


def _of_chunk(reader: _Reader, chunk: int, lines: Iterator[bytes] | None, *, over: bool) -> Iterator[_Row]:
    """A row for each of a chunk's images: from its records, up to a damaged one, and what is left by its manifest."""
    every: _Row = {"run": reader.spec.run, "recipe_hash": reader.spec.recipe.hash, "chunk": chunk}
    has_result = chunk in reader.found.results
    damage: ContractError | None = None
    seen: set[str] = set()
    try:
        for row in _records(reader, chunk, lines, every) if lines is not None else ():
            if row["path"] not in seen:
                seen.add(row["path"])
                yield row
    except ContractVersionError:
        raise
    except ContractError as error:
        damage = error
    if damage is not None and has_result:
        lost = {"status": "lost", "error_type": DAMAGED, "message": damage.message}
        yield from _missing(reader, chunk, seen, every | lost)
    elif not has_result:
        yield from _missing(reader, chunk, seen, every | _fate(reader, chunk, over=over))


def _rejected(reader: _Reader) -> Iterator[Any]:
    """The records of images that stayed behind: the same submit writes them anew."""
    path = rejected_path(reader.spec.run)
    for line in reader.runs.read(path).splitlines():
        yield _record(line, path, strict=reader.strict)


def _records(reader: _Reader, chunk: int, lines: Iterator[bytes], every: _Row) -> Iterator[_Row]:
    """The rows of one result or part. Raises ContractError where it is damaged, after those before the damage."""
    run = reader.spec.run
    header = None
    if chunk in reader.found.results:
        path, header = result_path(run, chunk), header_of(lines, run, chunk)
        last = Attempt(number=0, node=header.node, worker_version=header.worker_version, started=header.started)
        attempts = header.attempts or (last,)
    else:
        path, lines = part_path(run, chunk), whole_lines(lines)
        attempts = parse(PartHeader, next(lines, b""), path).attempts
    made_by = {one.number: _made_by(one, every) for one in attempts}
    found = 0
    for line in lines:
        record = _record(line, path, strict=reader.strict)
        if record.pop("band", None) is not None:
            continue  # a part of an image, whose record is that of the task that joins it
        found += 1
        yield _row(record, made_by.get(record.get("attempt"), made_by[attempts[-1].number]))
    if header is not None:
        check_count(header, found)


def _record(line: bytes, path: str, *, strict: bool) -> Any:
    """One record, checked no further than that it is one of an image: ten million of them are read."""
    if strict:
        parse(ImageResult, line, path)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path} has a line that is not JSON: {error}", ANEW) from None
    if isinstance(record, dict) and isinstance(record.get("path"), str) and "status" in record:
        return record
    raise ContractError(f"{path} has a line that is no record of an image", ANEW)


def _made_by(attempt: Attempt, every: _Row) -> _Row:
    return every | {
        "attempt": attempt.number or None,
        "job": attempt.job,
        "node": attempt.node,
        "worker_version": attempt.worker_version,
    }


def _row(record: _Row, every: _Row) -> _Row:
    measures = record.get("measures")
    return record | every | {"measures": json.dumps(measures, ensure_ascii=False) if measures else None}


def _fate(reader: _Reader, chunk: int, *, over: bool) -> _Row:
    """What became of the images of a chunk that have no record."""
    if not over:
        return {"status": "waiting"}
    run = reader.spec.run
    blob = reader.runs.stat(heartbeat_path(run, chunk))
    if blob is None or HEARTBEAT_METADATA not in blob.metadata:
        message = f"the task of chunk {chunk} never began"
        return {"status": "lost", "error_type": "NeverBegan", "message": message}
    beat = parse(Heartbeat, blob.metadata[HEARTBEAT_METADATA], blob.path)
    attempts = f" after {beat.attempt} attempts" if (beat.attempt or 1) > 1 else ""
    message = (
        f"the task of chunk {chunk} ended without a result{attempts}; it was last heard of on node {beat.node} "
        f"at {beat.updated:%Y-%m-%d %H:%M:%S} UTC. Its log: batchimg logs {run} --chunk {chunk}"
    )
    return {"status": "lost", "error_type": "TaskFailed", "message": message, "node": beat.node}


def _missing(reader: _Reader, chunk: int, seen: set[str], every: _Row) -> Iterator[_Row]:
    """Rows of a manifest's images that have no record.

    None where the submit was interrupted before the manifest, or somebody deleted or damaged it.
    """
    for entry in _as_far_as_readable(_manifest(reader, chunk)):
        if entry.path not in seen and entry.band is None:
            yield {"path": entry.path, "size": entry.size, "md5": entry.md5, "etag": entry.etag} | every


def _manifest(reader: _Reader, chunk: int) -> Iterator[ImageEntry]:
    path = manifest_path(reader.spec.run, chunk)
    lines = reader.runs.read_lines(path)
    parse(ManifestHeader, next(lines, b""), path)
    yield from parse_lines(ImageEntry, lines, path)


def _as_far_as_readable(found: Iterator[_T]) -> Iterator[_T]:
    """What comes before a document's damage; nothing where it is not there."""
    try:
        yield from found
    except StorageError as error:
        if error.code != "BlobNotFound":
            raise
    except ContractVersionError:
        raise
    except ContractError:
        return
