"""Causes of failures, names of runs and ranges of tasks: values in, values out."""

import pytest

from batchimg.ledger import cause_of
from batchimg.plan import name_of
from batchimg.submit import _ranges


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("a/b c.png is cut short at byte 1,234", "… is cut short at byte N"),
        ("22400x22400 (501.8 megapixels) is over 200", "NxN (N megapixels) is over N"),
        ("cannot read 'other/file.jpg': gone", "cannot read '…': gone"),
        ("variant rotate: not enough memory", "variant rotate: not enough memory"),
    ],
)
def test_a_cause_has_nothing_of_its_image(message, cause):
    assert cause_of(message, "a/b c.png") == cause


def test_a_very_long_message_is_cut():
    assert len(cause_of("x " * 1000, "a.png")) == 200


@pytest.mark.parametrize(
    ("run", "name"),
    [("photos-0123456789", "photos"), ("photos-r12-0123456789", "photos"), ("my-r-0123456789", "my-r")],
)
def test_a_retry_has_the_name_of_what_it_retries(run, name):
    assert name_of(run) == name


@pytest.mark.parametrize(
    ("chunks", "ranges"),
    [([0], [range(1)]), ([0, 1, 2], [range(3)]), ([1, 2, 5, 7, 8], [range(1, 3), range(5, 6), range(7, 9)])],
)
def test_the_last_task_waits_for_tasks_that_are_there_and_no_others(chunks, ranges):
    assert list(_ranges(chunks)) == ranges
