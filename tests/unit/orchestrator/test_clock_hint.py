"""A clock that is wrong is named as the cause where the service refuses to sign in."""

from datetime import UTC, datetime

import pytest

from batchimg.batch_errors import clock_hint

SAID = "Sat, 21 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize(
    ("hour", "minute", "told"),
    [(9, 25, "25 minutes fast"), (8, 35, "25 minutes slow"), (9, 10, ""), (8, 50, "")],
)
def test_a_clock_is_wrong_from_a_quarter_of_an_hour_on(hour, minute, told):
    hint = clock_hint(SAID, datetime(2026, 11, 21, hour, minute, tzinfo=UTC))
    assert told in hint
    assert bool(hint) == bool(told)


@pytest.mark.parametrize("said", [None, "", "yesterday"])
def test_a_service_that_does_not_tell_its_time_says_nothing_of_clocks(said):
    assert clock_hint(said, datetime(2026, 11, 21, tzinfo=UTC)) == ""
