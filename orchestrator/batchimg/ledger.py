"""Ledger: a run's results as one table, one row an image, streamed from a Parquet file.

The run's last task makes it; where it is missing, or older than a result, it is merged here.
"""

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchimg.connect import Services
from batchimg.disk import FULL, full_or_broken
from batchimg.errors import MachineError
from batchimg.lineage import Lineage, lineage
from batchimg.watch import status
from batchimg_worker.blob_names import ledger_path
from batchimg_worker.contract import RunSpec
from batchimg_worker.errors import ContractError, StorageError
from batchimg_worker.ledger import FINGERPRINT, SCHEMA, STATES, find, merge, publish
from batchimg_worker.results import DAMAGED
from batchimg_worker.scratch import scratch

Format = Literal["csv", "parquet", "json"]
ROWS_AT_ONCE = 4_096
LONGEST_CAUSE = 200
MOST_CAUSES = 10_000  # that are told apart
OTHER_CAUSES = "other messages"
_NESTED = ("outputs", "notes", "seconds", "operations")


@contextmanager
def ledger_file(services: Services, spec: RunSpec) -> Iterator[Path]:
    """One run's ledger as a file that lives as long as the context; merged first where that is needed."""
    with scratch() as folder:
        file = folder / "ledger.parquet"
        with _room(folder.parent):
            _bring(services, spec, file)
        yield file


def _bring(services: Services, spec: RunSpec, file: Path) -> None:
    if not _fetch(services, spec, file):
        over = status(services, spec).is_over
        merged = merge(services.runs, spec, file, over=over)
        if over and not services.looks_only:
            publish(services.runs, spec.run, file, merged)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Raise MachineError where the disk of the temporary folder gets full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise MachineError(
            f"the disk of the temporary folder {str(folder)!r} is full",
            "Make room there, or set TMPDIR to a folder that has some.",
        ) from error


def _fetch(services: Services, spec: RunSpec, file: Path) -> bool:
    """Download the ledger; False where it is not there, or not made of all results, or has not all images."""
    path = ledger_path(spec.run)
    blob = services.runs.stat(path)
    if blob is None or blob.metadata.get(FINGERPRINT) != find(services.runs, spec.run).fingerprint:
        return False
    if sum(int(blob.metadata.get(state, 0)) for state in STATES) < spec.images:
        return False  # what was missing then may have been written anew
    try:
        with file.open("wb") as stream:
            stream.writelines(services.runs.read_chunks(path))
    except StorageError as error:
        if error.code == "BlobNotFound":
            return False
        raise
    return _is_whole(file)


def _is_whole(file: Path) -> bool:
    """Whether a file is a ledger to its end; what somebody has damaged is merged anew."""
    try:
        return bool(pq.read_schema(file).names[:1] == SCHEMA.names[:1])
    except (pa.ArrowException, OSError):
        return False


@contextmanager
def _readable(spec: RunSpec) -> Iterator[None]:
    """Raise ContractError where a ledger is damaged in its midst."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        hint = "Delete that blob from the container `runs`, then type the same command: the ledger is merged anew."
        raise ContractError(f"{ledger_path(spec.run)} is damaged: {error}", hint) from None


def batches(
    services: Services, family: Lineage, columns: Sequence[str], gone: Counter[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Some columns, ``path`` among them, of a run and those that it goes on from: one row an image.

    ``gone`` counts, by run, images that no document names any more, but for as many as later runs have beside those
    that it does name: they may be the same.
    """
    seen: set[str] = set()
    for spec in family:
        rows, again, later = 0, 0, len(seen)
        with ledger_file(services, spec) as file:
            for found in _batches(spec, file, columns):
                batch = _with_all(found, columns)
                paths = batch.column("path").to_pylist()
                kept = batch.filter(pa.array([path not in seen for path in paths])) if seen else batch
                rows, again = rows + len(batch), again + len(batch) - len(kept)
                yield kept
                if spec is not family[-1]:
                    seen.update(paths)
        if gone is not None and (short := spec.images - rows - (later - again)) > 0:
            gone[spec.run] = short


def _batches(spec: RunSpec, file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _readable(spec):
        ledger = pq.ParquetFile(file)
    with ledger:
        found = ledger.iter_batches(ROWS_AT_ONCE, columns=list(columns))
        while True:
            with _readable(spec):
                batch = next(found, None)
            if batch is None:
                return
            yield batch


def _with_all(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The batch with these columns, in this order; one that came after the ledger was made is null."""
    schema = pa.schema([SCHEMA.field(name) for name in columns], SCHEMA.metadata)
    there = batch.schema.names
    found = [batch.column(one.name) if one.name in there else pa.nulls(len(batch), one.type) for one in schema]
    return pa.RecordBatch.from_arrays(found, schema=schema)


def damage_in(batch: pa.RecordBatch) -> Counter[str]:
    """How many images of a batch a damaged result says nothing of, by what is wrong with it."""
    rows = batch.filter(pc.fill_null(pc.equal(batch.column("error_type"), DAMAGED), False))
    return Counter(rows.column("message").to_pylist())


def export(services: Services, spec: RunSpec, to: IO[bytes], kind: Format, gone: Counter[str] | None = None) -> int:
    """Write the ledger of a run and of those that it goes on from; gives the number of rows. Memory does not grow."""
    writer = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[kind]
    return writer(batches(services, lineage(services, spec), SCHEMA.names, gone), to)


def _write_parquet(rows: Iterator[pa.RecordBatch], to: IO[bytes]) -> int:
    """Parquet is written from its beginning, so any stream will do."""
    count = 0
    with pq.ParquetWriter(to, SCHEMA, compression="zstd") as writer:
        group: list[pa.RecordBatch] = []
        for batch in rows:
            group.append(batch)
            count += len(batch)
            if len(group) * ROWS_AT_ONCE >= 10 * ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_batches(group, SCHEMA))
                group.clear()
        writer.write_table(pa.Table.from_batches(group, SCHEMA))
    return count


def _write_json(rows: Iterator[pa.RecordBatch], to: IO[bytes]) -> int:
    """One JSON object a line, without what is null."""
    count = 0
    for batch in rows:
        for row in batch.to_pylist():
            if row["measures"]:
                row["measures"] = json.loads(row["measures"])
            kept = {name: value for name, value in row.items() if value is not None}
            to.write(json.dumps(kept, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _write_csv(rows: Iterator[pa.RecordBatch], to: IO[bytes]) -> int:
    """Comma-separated values with a header; what has parts is JSON."""
    writer = csv.DictWriter(_Utf8(to), SCHEMA.names)
    writer.writeheader()
    count = 0
    for batch in rows:
        values = batch.to_pylist()
        for row in values:
            for name in _NESTED:
                row[name] = json.dumps(row[name], ensure_ascii=False) if row[name] else ""
        writer.writerows(values)
        count += len(values)
    return count


@dataclass(frozen=True, slots=True)
class _Utf8:
    """Text for a stream of bytes, which it never closes."""

    to: IO[bytes]

    def write(self, text: str) -> int:
        return self.to.write(text.encode())


def write_file(services: Services, spec: RunSpec, to: Path, kind: Format, gone: Counter[str] | None = None) -> int:
    """Write the ledger to a file, all of it or nothing. Raises MachineError where it cannot be written."""
    part = to.with_name(f".{to.name}.part")
    try:
        with part.open("wb") as stream:
            count = export(services, spec, stream, kind, gone)
        shutil.move(part, to)
    except OSError as error:
        raise full_or_broken(error, to) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def states(services: Services, spec: RunSpec, gone: Counter[str] | None = None) -> Mapping[str, int]:
    """How many images are in which state."""
    counts: dict[str, int] = {}
    for batch in batches(services, lineage(services, spec), ["path", "status"], gone):
        for entry in batch.column("status").value_counts().to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return counts


@dataclass(frozen=True, slots=True)
class Cause:
    """Why images are not done: kind and message, with numbers and names taken out; ``example`` is one of them.

    ``sent``: whether they are in blob storage; what is not, no retry can do.
    """

    status: str
    error_type: str
    message: str
    images: int
    example: str
    example_message: str
    sent: bool = True


def failures(services: Services, spec: RunSpec, gone: Counter[str] | None = None) -> list[Cause]:
    """The causes of all images that are not done, the most frequent first; those beyond thousands as one."""
    found: dict[tuple[str, str, str, bool], Cause] = {}
    for row in undone(services, lineage(services, spec), Counter(), gone):
        cause, sent = cause_of(row["message"] or "", row["path"]), row["chunk"] is not None
        key = (row["status"], row["error_type"] or "", cause, sent)
        if key not in found and len(found) >= MOST_CAUSES:
            key = (*key[:2], OTHER_CAUSES, sent)
        known = found.get(key) or Cause(*key[:3], 0, row["path"], row["message"] or "", sent)
        found[key] = replace(known, images=known.images + 1)
    return sorted(found.values(), key=lambda cause: (-cause.images, cause.error_type, cause.message))


def undone(
    services: Services, family: Lineage, tally: Counter[str], gone: Counter[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of images that are not done, those that still wait not among them: what is known of each, and why.

    ``tally`` counts all images by state, ``gone`` by run those that no document names any more.
    """
    columns = ["path", "size", "md5", "etag", "status", "error_type", "message", "run", "chunk"]
    for batch in batches(services, family, columns, gone):
        found = batch.column("status").to_pylist()
        tally.update(found)
        wanted = [state not in {"done", "waiting"} for state in found]
        if any(wanted):
            yield from batch.filter(pa.array(wanted)).to_pylist()


def cause_of(message: str, path: str) -> str:
    """A message without what differs from image to image: its own path, other paths and quoted names, numbers."""
    text = message.replace(path, "…") if path else message
    text = re.sub(r"'[^']*[./][^']*'", "'…'", text)
    text = re.sub(r"(?<![\w…])(?:[\w.-]*/)+[\w.-]+", "…", text)
    text = re.sub(r"0x[0-9a-fA-F]+|\d+(?:[.,:-]\d+)*", "N", text)
    return text if len(text) <= LONGEST_CAUSE else text[: LONGEST_CAUSE - 1] + "…"
