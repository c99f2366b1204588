"""A run that is watched is ended where it passes a limit, once."""

from datetime import UTC, datetime

import pytest

from batchimg.failure_limit import FailureLimit
from batchimg.stop import Bounds
from batchimg.watch import ChunkCounts, RunStatus


def status(done: int, failed: int, state: str = "running") -> RunStatus:
    return RunStatus(
        run="photos-0123456789",
        state=state,
        dataset="photos",
        images=1_000,
        done=done,
        failed=failed,
        lost=0,
        bytes_in=0,
        bytes_out=0,
        chunks=ChunkCounts(10, 0, 1, 0),
        nodes={},
        created=datetime.now(UTC),
        started=None,
        ended=None,
        images_per_second=None,
        eta_seconds=None,
        failed_tasks=(),
        causes={"DecodeError": failed},
        slow=(),
        note=None,
    )


def test_a_run_without_limits_is_left_alone():
    limits = Bounds(None, None, lambda: 1e9, pytest.fail)
    assert len(list(limits.hold([status(0, 500), status(0, 1_000, "completed")]))) == 2
    assert limits.passed is None


def test_too_many_failures_end_a_run_once_and_the_statuses_go_on():
    ended = []
    limits = Bounds(FailureLimit.parse("5%"), None, lambda: 0.0, lambda: ended.append(1))
    seen = list(limits.hold([status(90, 4), status(94, 6), status(94, 7), status(94, 7, "cancelled")]))
    assert (len(seen), ended) == (4, [1])
    assert "6 of 100 images failed, most with DecodeError" in limits.passed.message
    assert "batchimg retry photos-0123456789" in limits.passed.hint


def test_a_run_that_is_over_is_not_ended():
    limits = Bounds(FailureLimit.parse("5%"), 1.0, lambda: 2.0, pytest.fail)
    list(limits.hold([status(0, 1_000, "completed")]))
    assert limits.passed is None


def test_a_run_that_has_cost_too_much_is_ended():
    ended = []
    limits = Bounds(None, 1.0, lambda: 1.01, lambda: ended.append(1))
    list(limits.hold([status(1, 0), status(2, 0)]))
    assert ended == [1]
    assert "it has cost $1.01, and --max-cost is $1.00" in limits.passed.message
    cheap = Bounds(None, 1.0, lambda: 0.99, pytest.fail)
    list(cheap.hold([status(1, 0), status(2, 0)]))
    assert cheap.passed is None
