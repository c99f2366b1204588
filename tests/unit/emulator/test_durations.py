import pytest

from batch_emulator.clock import UNIX_EPOCH_TICKS
from batch_emulator.durations import (
    UNLIMITED,
    canonical_duration,
    duration_seconds,
    http_date,
    timestamp,
    timestamp_ticks,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT03M00S", 180), ("PT1M", 60), ("P1D", 86_400), ("P1DT2H", 93_600), ("PT0.5S", 0.5), ("P2W", 1_209_600)],
)
def test_durations_of_living_clients_are_understood(text, seconds):
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "15", "1h", "PT5", "P1DT", "-", "PTS"])
def test_other_texts_are_no_durations(text):
    with pytest.raises(ValueError, match="not an ISO 8601 duration"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("PT03M00S", "PT3M"),
        ("PT900S", "PT15M"),
        ("PT24H", "P1D"),
        ("P7D", "P7D"),
        ("PT0S", "PT0S"),
        ("P1DT1S", "P1DT1S"),
        ("PT1.5S", "PT1.5S"),
        (UNLIMITED, UNLIMITED),
    ],
)
def test_durations_are_written_back_as_the_service_does(text, canonical):
    assert canonical_duration(text) == canonical


def test_timestamps_have_seven_digits_without_trailing_zeros():
    ticks = timestamp_ticks("2022-09-06T23:45:30.635053Z")
    assert timestamp(ticks) == "2022-09-06T23:45:30.635053Z"
    assert timestamp(timestamp_ticks("2022-09-06T23:44:11.5153711Z")) == "2022-09-06T23:44:11.5153711Z"
    assert timestamp(UNIX_EPOCH_TICKS) == "1970-01-01T00:00:00Z"


def test_an_etag_of_the_service_is_its_last_modified_in_ticks():
    assert f"0x{timestamp_ticks('2022-09-06T23:45:29.9954813Z'):X}" == "0x8DA9061E1BED87D"


def test_timestamps_with_an_offset_are_converted():
    assert timestamp_ticks("2026-01-01T02:00:00+02:00") == timestamp_ticks("2026-01-01T00:00:00Z")
    assert timestamp_ticks("2026-01-01") == timestamp_ticks("2026-01-01T00:00:00Z")


def test_http_dates_are_in_whole_seconds():
    assert http_date(timestamp_ticks("2022-09-06T23:44:11.9Z")) == "Tue, 06 Sep 2022 23:44:11 GMT"
