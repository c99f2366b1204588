"""The data path of a task: fetch ahead, work, write behind, so that CPU and network overlap.

    manifest ─▶ fetchers (threads) ─▶ decode, recipe, encode (this thread) ─▶ writers (threads) ─▶ records

What is in flight is bounded by bytes, not by the chunk. One bad image is a record; storage that does not answer
ends the task, and Batch tries it again.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchimg_worker.budget import ByteBudget
from batchimg_worker.contract import (
    ImageEntry,
    ImageResult,
    Output,
    RunSpec,
    StageSeconds,
    Tiles,
    output_path,
)
from batchimg_worker.errors import ImageError, InputError, StorageError
from batchimg_worker.hand import Hand
from batchimg_worker.memory import image_limits, queue_bytes
from batchimg_worker.naming import Which, result_name
from batchimg_worker.storage import Container
from batchimg_worker.tiles.files import LARGE_BYTES, fetch

if TYPE_CHECKING:
    from batchimg_worker.apply import EncodedVariant, Work

FETCHERS = 2
WRITERS = 8
FETCH_AHEAD = 8  # images

# A blob that the service refuses for its own sake; every other refusal concerns all of them.
OF_THIS_BLOB = frozenset(
    {"BlobNotFound", "InvalidUri", "InvalidResourceName", "BlobArchived", "OutOfRangeInput", "400", "404"}
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An original on its way from storage to the decoder."""

    entry: ImageEntry
    content: bytes | Path
    seconds: float
    problem: ImageError | None = None


@dataclass
class InWork:
    """An image whose pictures are still being written."""

    entry: ImageEntry
    fetch_seconds: float
    processed: Work | None = None
    puts: list[Future[float]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    problem: ImageError | None = None


class Pipeline:
    """One chunk's way through a task. ``stop`` ends it after the image in hand, which ``hand`` shows."""

    def __init__(
        self, spec: RunSpec, inputs: Container, outputs: Container, stop: threading.Event, hand: Hand | None = None
    ) -> None:
        self._spec, self._inputs, self._outputs, self._stop = spec, inputs, outputs, stop
        self._hand = hand or Hand()
        self._queue_bytes = queue_bytes(spec.limits)
        self._write_budget = ByteBudget(self._queue_bytes)
        self._tiles: Tiles = spec.limits.tiles or "auto"
        self._scratch = tempfile.TemporaryDirectory(prefix="batchimg-", ignore_cleanup_errors=True)

    def run(self, entries: Iterator[ImageEntry]) -> Iterator[ImageResult]:
        """One record an image, as they are done. Raises StorageError where storage does not answer."""
        fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")
        waiting: deque[InWork] = deque()
        try:
            for fetched in self._fetch_ahead(fetchers, entries):
                from batchimg_worker import apply  # noqa: F401 - loading it is not the image's time

                self._hand.take(fetched.entry.path)
                waiting.append(self._work(fetched, writers))
                self._hand.lay_down()
                del fetched
                while waiting and all(put.done() for put in waiting[0].puts):
                    yield self._record(waiting.popleft())
            while waiting:
                yield self._record(waiting.popleft())
        finally:
            fetchers.shutdown(wait=True, cancel_futures=True)
            writers.shutdown(wait=True, cancel_futures=True)
            self._scratch.cleanup()

    def _fetch_ahead(self, fetchers: ThreadPoolExecutor, entries: Iterator[ImageEntry]) -> Iterator[Fetched]:
        ahead: deque[tuple[Future[Fetched], int]] = deque()
        size = 0
        for entry in entries:
            if self._stop.is_set():
                break
            while ahead and (len(ahead) >= FETCH_AHEAD or size + entry.size > self._queue_bytes):
                first, length = ahead.popleft()
                yield first.result()
                size -= length
            ahead.append((fetchers.submit(self._fetch, entry), entry.size))
            size += entry.size
        while ahead and not self._stop.is_set():
            yield ahead.popleft()[0].result()

    def _fetch(self, entry: ImageEntry) -> Fetched:
        began = time.perf_counter()
        if entry.size > LARGE_BYTES and self._tiles != "off":
            return self._fetch_file(entry)
        try:
            content = self._inputs.read(self._spec.source.prefix + entry.path)
        except StorageError as error:
            if error.code not in OF_THIS_BLOB:
                raise
            return Fetched(entry, b"", 0.0, InputError(f"the original cannot be read: {error.message}"))
        seconds = time.perf_counter() - began
        if entry.md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != entry.md5:
            return Fetched(entry, b"", seconds, InputError("the original has changed since it was submitted"))
        return Fetched(entry, content, seconds)

    def _fetch_file(self, entry: ImageEntry) -> Fetched:
        """As `_fetch`, into a file: the original may be larger than the memory."""
        began = time.perf_counter()
        try:
            pieces = self._inputs.read_chunks(self._spec.source.prefix + entry.path)
            path = fetch(pieces, Path(self._scratch.name), entry.size, entry.md5)
        except StorageError as error:
            if error.code not in OF_THIS_BLOB:
                raise
            return Fetched(entry, b"", 0.0, InputError(f"the original cannot be read: {error.message}"))
        except ImageError as error:
            return Fetched(entry, b"", time.perf_counter() - began, error)
        return Fetched(entry, path, time.perf_counter() - began)

    def _work(self, fetched: Fetched, writers: ThreadPoolExecutor) -> InWork:
        work = InWork(fetched.entry, fetched.seconds, problem=fetched.problem)
        if fetched.problem is not None:
            return work
        from batchimg_worker.tiles.process import Room, process_any  # late: originals come while this loads

        try:
            room = Room(image_limits(self._spec.limits), self._tiles, Path(self._scratch.name))
            work.processed = process_any(fetched.content, self._spec.recipe, room)
            for variant in work.processed.outputs:
                self._put(variant, work, writers)
        except ImageError as error:
            work.problem = error
        except MemoryError:
            work.problem = ImageError("not enough memory for this image")
        return work

    def _put(self, variant: EncodedVariant, work: InWork, writers: ThreadPoolExecutor) -> None:
        content, format_ = variant.encoded.data, variant.encoded.format
        md5 = variant.encoded.md5
        which = Which(bool(work.entry.apart), variant.frame)
        name = result_name(work.entry.path, variant.variant, format_, variant.output, which)
        work.notes += tuple(note for note in variant.encoded.notes if note not in work.notes)
        work.outputs.append(
            Output(
                variant=variant.variant,
                path=name,
                size=variant.encoded.size,
                md5=md5.hex(),
                width=variant.width,
                height=variant.height,
            )
        )
        target = output_path(self._spec.run, variant.variant, name)
        if isinstance(content, Path):
            work.puts.append(writers.submit(self._write_file, target, content, md5))
            return
        self._write_budget.take(len(content))
        work.puts.append(writers.submit(self._write, target, content, md5))

    def _write(self, path: str, content: bytes, md5: bytes) -> float:
        began = time.perf_counter()
        try:
            self._outputs.write(path, content, md5=md5)
        finally:
            self._write_budget.give_back(len(content))
        return time.perf_counter() - began

    def _write_file(self, path: str, file: Path, md5: bytes) -> float:
        began = time.perf_counter()
        with file.open("rb") as content:
            self._outputs.write(path, content, md5=md5)
        file.unlink()
        return time.perf_counter() - began

    def _record(self, work: InWork) -> ImageResult:
        """Wait for an image's writes and say what became of it: done with all its pictures, or failed with none."""
        put_seconds = 0.0
        for put in work.puts:
            try:
                put_seconds += put.result()
            except StorageError as error:
                if error.code not in OF_THIS_BLOB:
                    raise
                work.problem = ImageError(f"a picture cannot be written: {error.message}")
        if work.problem is None and work.processed is not None:
            return _done(work, work.processed, put_seconds)
        for output in work.outputs:
            self._outputs.delete(output_path(self._spec.run, output.variant, output.path))
        return _failed(work, put_seconds)


def _done(work: InWork, processed: Work, put_seconds: float) -> ImageResult:
    return ImageResult(
        path=work.entry.path,
        size=work.entry.size,
        md5=work.entry.md5,
        status="done",
        width=processed.width,
        height=processed.height,
        outputs=tuple(work.outputs),
        measures={name: dict(numbers) for name, numbers in processed.measures.items()},
        notes=(*processed.notes, *work.notes),
        seconds=StageSeconds(
            fetch=round(work.fetch_seconds, 6),
            decode=round(processed.seconds.decode, 6),
            compute=round(processed.seconds.compute, 6),
            encode=round(processed.seconds.encode, 6),
            put=round(put_seconds, 6),
        ),
    )


def _failed(work: InWork, put_seconds: float) -> ImageResult:
    kind, message = type(work.problem).__name__, _explained(work.problem)
    log.warning("failed: %s: %s: %s", work.entry.path, kind, message)
    return ImageResult(
        path=work.entry.path,
        size=work.entry.size,
        md5=work.entry.md5,
        status="failed",
        error_type=kind,
        message=message,
        seconds=StageSeconds(fetch=round(work.fetch_seconds, 6), put=round(put_seconds, 6)),
    )


def _explained(problem: ImageError | None) -> str:
    """What went wrong, and what to do about it where that is known: a record is all that a user sees of it."""
    if problem is None:
        return ""
    return f"{problem.message}. {problem.hint}" if problem.hint else problem.message
