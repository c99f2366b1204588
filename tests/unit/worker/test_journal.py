"""The journal on a disk that gets full: what is in it is whole, and it goes on where there is room again."""

import resource
from datetime import UTC, datetime

import pytest

from batchimg_worker.contract import Attempt, ImageResult, PartHeader
from batchimg_worker.documents import dump
from batchimg_worker.journal import Journal

HEAD = PartHeader(
    run="run",
    chunk=0,
    attempts=(Attempt(number=1, node="n", worker_version="0", started=datetime(2026, 1, 1, tzinfo=UTC)),),
)


def record(number: int) -> ImageResult:
    return ImageResult(path=f"{number}.png", size=1, status="failed", error_type="DecodeError", message="x" * 100)


def test_a_record_is_kept_whole_or_not_at_all(tmp_path):
    file = tmp_path / "journal.jsonl"
    file.write_bytes(dump(HEAD) + b"\n")
    journal = Journal(file, HEAD)
    journal.add(record(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 50, before[1]))  # as a disk with 50 bytes
    try:
        with pytest.raises(OSError, match="too large"):
            journal.add(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert journal.count == 1
    journal.add(record(3))
    assert [one.path for one in journal.records()] == ["1.png", "3.png"]
    journal.close()
