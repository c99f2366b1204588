"""The journal: a chunk's records as they are made, in a file of the node and now and then in blob storage.

It outlives the process that works on the chunk, so that another one goes on after it: the next child of the guard
finds the file, the next attempt of the task, on whatever node, the blob (the chunk's part).
"""

import logging
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from batchimg_worker.blob_names import hand_path, heartbeat_path, part_path
from batchimg_worker.contract import HEARTBEAT_METADATA, Attempt, Heartbeat, ImageResult, PartHeader
from batchimg_worker.documents import dump, parse, parse_lines, whole_lines
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
from batchimg_worker.node import Node, peak_memory_bytes
from batchimg_worker.storage import Container
from batchimg_worker.version import __version__

log = logging.getLogger(__name__)

AGAIN = "\0again"  # behind the path of a suspect in hand: no path has a NUL


class Journal:
    """The records of one chunk so far. ``attempts`` made them; the last one is under way.

    It is ``careful`` where the one before vanished without a word; ``suspect`` is the image that a careful attempt
    had in hand when it vanished too: it is done last. It is ``guilty`` if an attempt vanished with it then.
    """

    def __init__(self, file: Path, head: PartHeader) -> None:
        self.file, self.run, self.chunk, self.attempts = file, head.run, head.chunk, head.attempts
        mark = _mark(file)
        self.careful = mark.exists()
        self.in_storage = len(self.attempts) > 1  # whether blob storage may have a part
        name, again, _ = (mark.read_text("utf-8") if self.careful else "").partition(AGAIN)
        self.suspect, self.guilty = name or None, bool(again)
        self.earlier: frozenset[str] = frozenset()  # the images whose records it had when it was opened
        self.count = 0
        self._out = os.open(file, os.O_WRONLY | os.O_APPEND)

    @classmethod
    def open(cls, file: Path, runs: Container, chunk: tuple[str, int], node: Node) -> Self:
        """Go on with the file, or with what an earlier attempt left in blob storage, or begin. ``chunk``: its run too.

        Raises StorageError, ContractError.
        """
        if not file.exists():
            _begin(file, runs, chunk, node)
        _drop_torn_line(file)
        with file.open("rb") as lines:
            head = parse(PartHeader, next(lines, b""), str(file))
        journal = cls(file, head)
        journal.earlier = frozenset(record.path for record in journal.records())
        journal.count = len(journal.earlier)
        return journal

    def close(self) -> None:
        """Close the file; it stays."""
        os.close(self._out)

    def add(self, record: ImageResult) -> None:
        """Keep a record: in the kernel's hands when this returns, so it outlives this process.

        Raises OSError where the disk is full; then nothing of it is kept.
        """
        made = {"attempt": self.attempts[-1].number, "peak_memory_bytes": peak_memory_bytes()}
        line = dump(record.model_copy(update=made)) + b"\n"
        before = os.fstat(self._out).st_size
        try:
            written = 0
            while written < len(line):  # a disk that gets full takes a part of it first
                written += os.write(self._out, line[written:])
        except OSError:
            os.ftruncate(self._out, before)
            raise
        self.count += 1

    def records(self) -> Iterator[ImageResult]:
        """All records so far."""
        return parse_lines(ImageResult, self.lines(), str(self.file))

    def lines(self) -> Iterator[bytes]:
        """All records so far, as lines."""
        with self.file.open("rb") as lines:
            next(lines, b"")
            yield from lines

    def announce(self, runs: Container, path: str) -> None:
        """Say in blob storage that an image is begun, for the attempt after this one."""
        if path == self.suspect:
            self.keep_in_storage(runs)
        runs.write(hand_path(self.run, self.chunk), (path + AGAIN * (path == self.suspect)).encode())

    def keep_in_storage(self, runs: Container) -> None:
        """Put it into blob storage as the chunk's part."""
        _write_part(self.file, runs, (self.run, self.chunk))
        self.in_storage = True


def _write_part(file: Path, runs: Container, chunk: tuple[str, int]) -> None:
    """Put a journal's file into blob storage, torn as it may be: readers leave an unfinished last line out."""
    with file.open("rb") as content:
        runs.write(part_path(*chunk), content)


def leave(file: Path, runs: Container, chunk: tuple[str, int]) -> None:
    """Do what a worker could not: say in blob storage that its attempt was ended, and put its records there.

    The heartbeat comes first, and there always is one: the next attempt looks for a part only where it finds it.
    Raises StorageError.
    """
    beat = _last_beat(runs, chunk) or _first_beat(file)
    if beat.state == "running":
        last = dump(beat.model_copy(update={"state": "stopped"}))
        runs.write(heartbeat_path(*chunk), last, metadata={HEARTBEAT_METADATA: last.decode()})
    _write_part(file, runs, chunk)


def _first_beat(file: Path) -> Heartbeat:
    """What a worker would have said that was ended before it had said anything."""
    with file.open("rb") as lines:
        head = parse(PartHeader, next(lines, b""), str(file))
    this, nothing = head.attempts[-1], dict.fromkeys(("done", "failed", "total", "bytes_in", "bytes_out"), 0)
    return Heartbeat(
        chunk=head.chunk,
        state="running",
        node=this.node,
        started=this.started,
        updated=datetime.now(UTC),
        attempt=this.number,
        **nothing,
    )


def _begin(file: Path, runs: Container, chunk: tuple[str, int], node: Node) -> None:
    """Write the journal's head, and below it what an earlier attempt left."""
    beat = _last_beat(runs, chunk)
    earlier, lines = _earlier(runs, chunk, beat) if beat is not None else ((), iter(()))
    if beat is not None and beat.state == "running":
        _mark(file).write_text(_read_or(runs, hand_path(*chunk), b"").decode(), "utf-8")
    this = Attempt(
        number=earlier[-1].number + 1 if earlier else 1,
        job=node.job,
        node=node.id,
        worker_version=__version__,
        started=datetime.now(UTC),
    )
    part = file.with_suffix(".new")
    with part.open("wb") as out:
        out.write(dump(PartHeader(run=chunk[0], chunk=chunk[1], attempts=(*earlier, this))) + b"\n")
        out.writelines(line + b"\n" for line in lines)
    part.replace(file)


def _last_beat(runs: Container, chunk: tuple[str, int]) -> Heartbeat | None:
    """The heartbeat that an earlier attempt left: it tells at the cost of one look whether there was any."""
    blob = runs.stat(heartbeat_path(*chunk))
    if blob is None or HEARTBEAT_METADATA not in blob.metadata:
        return None
    return parse(Heartbeat, blob.metadata[HEARTBEAT_METADATA], blob.path)


def _earlier(runs: Container, chunk: tuple[str, int], beat: Heartbeat) -> tuple[tuple[Attempt, ...], Iterator[bytes]]:
    """Attempts before this one, and the lines of their records; none of a part that is damaged."""
    attempts, lines = _of_part(runs, chunk)
    number = beat.attempt or 1
    if not attempts or attempts[-1].number < number:
        vanished = Attempt(number=number, node=beat.node, worker_version=__version__, started=beat.started)
        attempts = (*attempts, vanished)
    return attempts, iter(lines)


def _of_part(runs: Container, chunk: tuple[str, int]) -> tuple[tuple[Attempt, ...], list[bytes]]:
    path = part_path(*chunk)
    lines = list(whole_lines(iter(_read_or(runs, path, b"").splitlines())))
    if not lines:
        return (), []
    try:
        head = parse(PartHeader, lines[0], path)
        deque(parse_lines(ImageResult, iter(lines[1:]), path), maxlen=0)
    except ContractVersionError:
        raise
    except ContractError as error:
        log.warning("%s: all of the chunk is done anew", error.message)
        return (), []
    return head.attempts, lines[1:]


def _read_or(runs: Container, path: str, otherwise: bytes) -> bytes:
    try:
        return runs.read(path)
    except StorageError as error:
        if error.code == "BlobNotFound":
            return otherwise
        raise


def _mark(file: Path) -> Path:
    return file.with_suffix(".careful")


def _drop_torn_line(file: Path) -> None:
    """A process that was killed while it wrote leaves half a line at most."""
    with file.open("rb+") as content:
        size = content.seek(0, os.SEEK_END)
        while size:
            back = min(size, 1 << 16)
            content.seek(size - back)
            end = content.read(back).rfind(b"\n")
            if end >= 0:
                content.truncate(size - back + end + 1)
                return
            size -= back
