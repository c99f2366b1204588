"""What a chunk took, from its result: its time where it was long, else its slowest stage."""

from datetime import UTC, datetime, timedelta

import pytest

from batchimg import measured
from batchimg.measured import FETCHERS, LONG_SECONDS, WRITERS, _seconds
from batchimg_worker import pipeline
from batchimg_worker.contract import ImageResult, ResultHeader, StageSeconds

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def header(lasted: float, done: int, failed: int = 0) -> ResultHeader:
    return ResultHeader(
        run="photos-0123456789",
        chunk=0,
        worker_version="0",
        node="node",
        started=BEGAN,
        finished=BEGAN + timedelta(seconds=lasted),
        done=done,
        failed=failed,
        bytes_in=0,
        bytes_out=0,
        peak_memory_bytes=0,
    )


def images(number: int, **seconds: float) -> list[ImageResult]:
    return [ImageResult(path="a", size=1, status="done", seconds=StageSeconds(**seconds))] * number


def test_a_long_task_tells_by_its_time():
    assert _seconds(header(100, 10), images(10, compute=1)) == 100


def test_a_short_task_tells_by_its_slowest_stage():
    short = header(LONG_SECONDS - 1, 10)
    assert _seconds(short, images(10, decode=0.1, compute=0.2, encode=0.3)) == pytest.approx(6.0, abs=0.02)
    assert _seconds(short, images(10, compute=0.1, fetch=3)) == pytest.approx(30 / FETCHERS)
    assert _seconds(short, images(10, compute=0.1, put=16)) == pytest.approx(160 / WRITERS)


def test_a_task_that_did_other_things_too_tells_by_its_images():
    assert _seconds(header(100, 10, failed=5), images(10, compute=1)) == pytest.approx(10.0, abs=0.02)
    assert _seconds(header(100, 5_000), images(10, compute=1)) == pytest.approx(10.0, abs=0.02)


def test_the_worker_has_as_many_threads_as_are_counted_with():
    assert (measured.FETCHERS, measured.WRITERS) == (pipeline.FETCHERS, pipeline.WRITERS)
