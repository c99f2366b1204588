"""The data path of a task: fetch ahead, work, write behind, so that CPU and network overlap.

    manifest ─▶ fetchers (threads) ─▶ decode, recipe, encode (this thread) ─▶ writers (threads) ─▶ records

What is in flight is bounded by bytes and by images, not by the chunk. One bad image is a record; storage that does
not answer ends the task, and Batch tries it again.
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchimg_worker.bands import BandStore, undone
from batchimg_worker.blob_names import output_path
from batchimg_worker.budget import ByteBudget
from batchimg_worker.contract import ImageEntry, ImageResult, Output, RunSpec, StageSeconds, Tiles
from batchimg_worker.errors import BandsMissing, ContractError, ImageError, InputError, StorageError
from batchimg_worker.hand import Hand
from batchimg_worker.memory import image_limits, queue_bytes
from batchimg_worker.naming import Which, result_name
from batchimg_worker.parts import Original
from batchimg_worker.pieces import Pieces
from batchimg_worker.storage import SINGLE_PUT_BYTES, Container
from batchimg_worker.tiles.files import CHANGED, LARGE_BYTES

if TYPE_CHECKING:
    from batchimg_worker.apply import EncodedVariant, Work
    from batchimg_worker.tiles.process import Room

FETCHERS = 6
WRITERS = 24  # small pictures wait for the network: 8 held thumbnails at 69 a second 20 ms away, 24 at 187
FETCH_AHEAD = 12  # images
WRITE_BEHIND = 32  # images: enough for all writers, whatever a recipe writes of each; small ones never fill the budget

# A blob that the service refuses for its own sake; every other refusal concerns all of them.
OF_THIS_BLOB = frozenset(
    {"BlobNotFound", "InvalidUri", "InvalidResourceName", "BlobArchived", "OutOfRangeInput", "400", "404"}
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Where originals lie, where pictures go, and where the bands of huge images wait; None where there are none."""

    inputs: Container
    outputs: Container
    bands: BandStore | None = None


Bands = tuple[ImageResult, ...]
"""The records of an image's bands, from top to bottom."""

Content = bytes | Original | Bands


@dataclass(slots=True)
class Fetched:
    """An original on its way from storage to the decoder, or what is known of its bands."""

    entry: ImageEntry
    content: Content
    seconds: float
    problem: ImageError | None = None

    def taken(self) -> Content:
        """The content, which is not held here any more: a file need not lie beside its pixels."""
        content, self.content = self.content, b""
        return content


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
    record: ImageResult | None = None


class Pipeline:
    """One chunk's way through a task. ``stop`` ends it after the image in hand, which ``hand`` shows."""

    def __init__(self, spec: RunSpec, places: Places, stop: threading.Event, hand: Hand | None = None) -> None:
        self._spec, self._stop = spec, stop
        self._inputs, self._outputs, self._bands = places.inputs, places.outputs, places.bands
        self._hand = hand or Hand()
        self._queue_bytes = queue_bytes(spec.limits)
        self._write_budget = ByteBudget(self._queue_bytes)
        self._tiles: Tiles = spec.limits.tiles or "auto"
        self._folder = Path()  # for files on their way, while it runs

    def run(self, entries: Iterator[ImageEntry]) -> Iterator[ImageResult]:
        """One record an image, as they are done. Raises StorageError where storage does not answer."""
        fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")
        waiting: deque[InWork] = deque()
        scratch = tempfile.TemporaryDirectory(prefix="batchimg-", ignore_cleanup_errors=True)
        self._folder = Path(scratch.name)
        try:
            for fetched in self._fetch_ahead(fetchers, entries):
                from batchimg_worker import apply  # noqa: F401 - loading it is not the image's time

                self._hand.take(fetched.entry.path)
                try:
                    waiting.append(self._work(fetched, writers))
                except BandsMissing:
                    self._hand.lay_down()  # the image is not at fault
                    raise
                self._hand.lay_down()
                del fetched
                while waiting and (len(waiting) >= WRITE_BEHIND or all(put.done() for put in waiting[0].puts)):
                    yield self._record(waiting.popleft())
            while waiting:
                yield self._record(waiting.popleft())
        finally:
            fetchers.shutdown(wait=True, cancel_futures=True)
            writers.shutdown(wait=True, cancel_futures=True)
            scratch.cleanup()

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
        if entry.joins is not None:
            return Fetched(entry, self._band_store.records(entry.joins), 0.0)
        if entry.size > LARGE_BYTES and (self._tiles != "off" or entry.band is not None):
            return self._fetch_file(entry)
        try:
            content = self._inputs.read(self._spec.source.prefix + entry.path)
        except StorageError as error:
            if error.code not in OF_THIS_BLOB:
                raise
            return Fetched(entry, b"", 0.0, InputError(f"the original cannot be read: {error.message}"))
        seconds = time.perf_counter() - began
        if entry.md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != entry.md5:
            return Fetched(entry, b"", seconds, InputError(CHANGED))
        return Fetched(entry, content, seconds)

    def _fetch_file(self, entry: ImageEntry) -> Fetched:
        """As `_fetch`, into a file, or what is needed of it: the original may be larger than the memory."""
        began = time.perf_counter()
        blob = self._spec.source.prefix + entry.path
        try:
            from batchimg_worker.tiles.fetching import SourceBlob, fetch_original  # late: small ones need not wait

            content = fetch_original(SourceBlob(self._inputs, blob, entry), self._spec.recipe, self._room)
        except StorageError as error:
            if error.code not in OF_THIS_BLOB:
                raise
            return Fetched(entry, b"", 0.0, InputError(f"the original cannot be read: {error.message}"))
        except ImageError as error:
            return Fetched(entry, b"", time.perf_counter() - began, error)
        return Fetched(entry, content, time.perf_counter() - began)

    def _work(self, fetched: Fetched, writers: ThreadPoolExecutor) -> InWork:
        entry = fetched.entry
        work = InWork(entry, fetched.seconds, problem=fetched.problem)
        if isinstance(fetched.content, tuple):
            work.record = undone(entry, fetched.content)
            work.fetch_seconds = sum(band.seconds.fetch for band in fetched.content)
        if work.problem is not None or work.record is not None:
            return work
        try:
            work.processed = self._processed(entry, fetched.taken())
            for variant in work.processed.outputs:
                self._put(variant, work, writers)
        except ImageError as error:
            work.problem = error
        except MemoryError:
            work.problem = ImageError("not enough memory for this image")
        return work

    def _processed(self, entry: ImageEntry, content: Content) -> Work:
        from batchimg_worker.tiles.process import process_any, process_band  # late: originals come meanwhile

        room = self._room
        if isinstance(content, tuple):
            from batchimg_worker.tiles.joining import Joined

            return Joined(content, self._spec.recipe, partial(self._band_store.fetch, folder=room.folder), room.folder)
        if entry.band is not None:
            return process_band(content, self._spec.recipe, room, entry.band)
        return process_any(content, self._spec.recipe, room)

    @property
    def _room(self) -> Room:
        from batchimg_worker.tiles.process import Room

        return Room(image_limits(self._spec.limits), self._tiles, self._folder)

    @property
    def _band_store(self) -> BandStore:
        if self._bands is None:
            raise ContractError("the manifest has bands of images, and there is no place for them")
        return self._bands

    def _name(self, variant: EncodedVariant, work: InWork) -> str:
        if work.entry.band is not None:
            return self._band_store.path(len(work.outputs))
        which = Which(bool(work.entry.apart), variant.frame)
        return result_name(work.entry.path, variant.variant, variant.encoded.format, variant.output, which)

    def _target(self, entry: ImageEntry, output: Output) -> tuple[Container, str]:
        """Where a picture goes, or a band of one."""
        if entry.band is not None:
            return self._band_store.runs, self._band_store.blob(output.path)
        return self._outputs, output_path(self._spec.run, output.variant, output.path)

    def _put(self, variant: EncodedVariant, work: InWork, writers: ThreadPoolExecutor) -> None:
        content, md5 = variant.encoded.data, variant.encoded.md5
        name = self._name(variant, work)
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
        target = self._target(work.entry, work.outputs[-1])
        if isinstance(content, Path):
            work.puts.append(writers.submit(self._write_file, target, content, md5))
            return
        if isinstance(content, Pieces) and len(content) <= SINGLE_PUT_BYTES:
            content = b"".join(content)
        self._write_budget.take(len(content))
        work.puts.append(writers.submit(self._write, target, content, md5))

    def _write(self, target: tuple[Container, str], content: bytes | Pieces, md5: bytes) -> float:
        began = time.perf_counter()
        (container, path), size = target, len(content)
        try:
            container.write(path, content if isinstance(content, bytes) else content.taken(), md5=md5)
        finally:
            self._write_budget.give_back(size)
        return time.perf_counter() - began

    def _write_file(self, target: tuple[Container, str], file: Path, md5: bytes) -> float:
        began = time.perf_counter()
        container, path = target
        with file.open("rb") as content:
            container.write(path, content, md5=md5)
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
        if work.record is not None:
            return work.record
        if work.problem is None and work.processed is not None:
            return _done(work, work.processed, put_seconds)
        for output in work.outputs:
            container, path = self._target(work.entry, output)
            container.delete(path)
        return _failed(work, put_seconds)


def _done(work: InWork, processed: Work, put_seconds: float) -> ImageResult:
    return ImageResult(
        path=work.entry.path,
        size=work.entry.size,
        md5=work.entry.md5,
        etag=work.entry.etag,
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
        band=work.entry.band,
    )


def _failed(work: InWork, put_seconds: float) -> ImageResult:
    kind, message = type(work.problem).__name__, _explained(work.problem)
    log.warning("failed: %s: %s: %s", work.entry.path, kind, message)
    return ImageResult(
        path=work.entry.path,
        size=work.entry.size,
        md5=work.entry.md5,
        etag=work.entry.etag,
        status="failed",
        error_type=kind,
        message=message,
        seconds=StageSeconds(fetch=round(work.fetch_seconds, 6), put=round(put_seconds, 6)),
        band=work.entry.band,
    )


def _explained(problem: ImageError | None) -> str:
    """What went wrong, and what to do about it where that is known: a record is all that a user sees of it."""
    if problem is None:
        return ""
    return f"{problem.message}. {problem.hint}" if problem.hint else problem.message
