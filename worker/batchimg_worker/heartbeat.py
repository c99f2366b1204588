"""Heartbeats: every few seconds how far a task is and what it has printed, every minute its records so far."""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from batchimg_worker.blob_names import heartbeat_path, log_path
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat
from batchimg_worker.documents import dump
from batchimg_worker.errors import StorageError
from batchimg_worker.journal import Journal
from batchimg_worker.storage import Container

SECONDS = 3.0
LOOK_SECONDS = 0.1  # how soon it sees that the task is told to stop
PART_SECONDS = 60.0  # a node that is lost without a word loses no more work than that
LONGEST_LOG = 1 << 20  # bytes; of a longer one the last part is kept
STREAMS = ("stdout.txt", "stderr.txt")
MOST_CAUSES = 20
LONGEST_CAUSE = 60
OTHER_CAUSES = "Other"

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a chunk is. The pipeline counts, the heartbeat reads."""

    total: int = 0
    done: int = 0
    failed: int = 0
    truncated: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    causes: Counter[str] = field(default_factory=Counter)

    def fail(self, cause: str) -> None:
        """Count a failed image; metadata has room for a few causes, and for plain text alone."""
        self.failed += 1
        plain = cause.isascii() and cause.isidentifier() and len(cause) <= LONGEST_CAUSE
        known = cause in self.causes or len(self.causes) < MOST_CAUSES
        self.causes[cause if plain and known else OTHER_CAUSES] += 1


class Heart:
    """Beats in a thread of its own from entering to leaving. A beat that cannot be written is no reason to stop.

    As soon as ``stop`` is set it sends what there is: the node may be gone before the image in hand is done.
    """

    def __init__(self, runs: Container, journal: Journal, task_dir: Path | None, stop: threading.Event) -> None:
        self.progress = Progress()
        self.attempt = journal.attempts[-1]
        self._runs, self._run, self._chunk, self._task_dir = runs, journal.run, journal.chunk, task_dir
        self._journal, self._flush_at = journal, time.monotonic() + PART_SECONDS
        self._sizes: dict[str, int] = {}
        self._stop, self._over = stop, threading.Event()
        self._sending = threading.RLock()  # what is sent later knows more, and must be the last to arrive
        self._thread = threading.Thread(target=self._beat_until_over, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def beat(self, state: Literal["running", "finished", "stopped"]) -> Heartbeat:
        """How far the task is, as a document."""
        now = self.progress
        return Heartbeat(
            chunk=self._chunk,
            state=state,
            done=now.done,
            failed=now.failed,
            total=now.total,
            bytes_in=now.bytes_in,
            bytes_out=now.bytes_out,
            node=self.attempt.node,
            started=self.attempt.started,
            updated=datetime.now(UTC),
            attempt=self.attempt.number,
            causes=dict(now.causes) or None,
            truncated=now.truncated or None,
        )

    def send(self, state: Literal["running", "finished", "stopped"]) -> None:
        """Write a heartbeat, and what the task has printed since the last one."""
        with self._sending:
            beat = dump(self.beat(state))
            try:
                path = heartbeat_path(self._run, self._chunk)
                self._runs.write(path, beat, metadata={HEARTBEAT_METADATA: beat.decode()})
                self._send_logs()
                if time.monotonic() > self._flush_at:
                    self._journal.keep_in_storage(self._runs)
                    self._flush_at = time.monotonic() + PART_SECONDS
            except StorageError as error:
                log.warning("no heartbeat: %s", error.message)

    def flush(self) -> None:
        """Send the records so far, and say that the task was told to stop."""
        with self._sending:
            try:
                self._journal.keep_in_storage(self._runs)
            except StorageError as error:
                log.warning("the records so far are not sent: %s", error.message)
            self.send("stopped")

    def finish(self) -> None:
        """The result is there and carries the last heartbeat: this one goes, so that a listing shows what runs."""
        try:
            self._send_logs()
            self._runs.delete(heartbeat_path(self._run, self._chunk))
        except StorageError as error:
            log.warning("the heartbeat stays: %s", error.message)

    def _beat_until_over(self) -> None:
        self.send("running")
        next_at = time.monotonic() + SECONDS
        while not self._over.wait(LOOK_SECONDS):
            if self._stop.is_set():
                self.flush()
                return
            if time.monotonic() > next_at:
                self.send("running")
                next_at = time.monotonic() + SECONDS

    def _send_logs(self) -> None:
        if self._task_dir is None:
            return
        for stream in STREAMS:
            file = self._task_dir / stream
            try:
                size = file.stat().st_size
                if size == self._sizes.get(stream, 0):
                    continue
                with file.open("rb") as text:
                    text.seek(max(0, size - LONGEST_LOG))
                    content = text.read(LONGEST_LOG)
            except OSError as error:
                log.warning("cannot read %s: %s", stream, error)
                continue
            self._runs.write(log_path(self._run, self._chunk, stream), content)
            self._sizes[stream] = size
