"""Wire formats of time: ISO 8601 durations, timestamps with seven digits, HTTP dates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

from batch_emulator.clock import TICKS_PER_SECOND, UNIX_EPOCH_TICKS

UNLIMITED = "P10675199DT2H48M5.4775807S"
"""The service's way to say that there is no limit: the longest span that .NET knows."""

_PATTERN = re.compile(
    r"(?P<sign>-)?P(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<H>\d+)H)?(?:(?P<M>\d+)M)?(?:(?P<S>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = {"W": 604_800, "D": 86_400, "H": 3_600, "M": 60, "S": 1}


@lru_cache(maxsize=4096)
def duration_seconds(text: str) -> float:
    """Seconds of an ISO 8601 duration such as PT03M00S; ValueError for anything else."""
    match = _PATTERN.fullmatch(text)
    parts = {unit: match[unit] for unit in _SECONDS if match[unit]} if match else {}
    if match is None or not parts:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT15M")
    seconds = sum(float(value) * _SECONDS[unit] for unit, value in parts.items())
    return -seconds if match["sign"] else seconds


def duration_text(seconds: float) -> str:
    """The canonical duration of a number of seconds, as .NET writes it: 900 -> PT15M, 86400 -> P1D."""
    if seconds >= duration_seconds(UNLIMITED):
        return UNLIMITED
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    second = f"{rest:.7f}".rstrip("0").rstrip(".")
    clock = "".join(
        f"{value}{unit}"
        for value, unit in ((int(hours), "H"), (int(minutes), "M"), (second, "S"))
        if value not in (0, "0")
    )
    date = f"{int(days)}D" if days else ""
    return "P" + date + (f"T{clock}" if clock or not date else "") + ("" if clock or date else "0S")


def canonical_duration(text: str) -> str:
    """The same span as the service would write it back: PT03M00S -> PT3M."""
    return duration_text(duration_seconds(text))


def timestamp(ticks: int) -> str:
    """Ticks as the service writes them: 2022-09-06T23:44:11.5153711Z, without trailing zeros."""
    seconds, fraction = divmod(ticks - UNIX_EPOCH_TICKS, TICKS_PER_SECOND)
    text = _second_text(seconds)
    if fraction:
        text += f".{fraction:07d}".rstrip("0")
    return text + "Z"


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def http_date(ticks: int) -> str:
    """Ticks as an HTTP header writes them, in whole seconds."""
    return _http_date((ticks - UNIX_EPOCH_TICKS) // TICKS_PER_SECOND)


def http_date_seconds(text: str) -> int:
    """Unix seconds of an HTTP date; ValueError for anything else."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (TypeError, IndexError) as error:
        raise ValueError(f"{text!r} is not an HTTP date") from error


def timestamp_ticks(text: str) -> int:
    """Ticks of an ISO 8601 timestamp; without a zone it is UTC. ValueError for anything else."""
    match = re.fullmatch(r"([^.]+?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a timestamp such as 2026-01-31T12:00:00Z")
    zone = match[3] or "Z"
    moment = datetime.fromisoformat(match[1] + ("+00:00" if zone == "Z" else zone))
    fraction = int((match[2] or "0").ljust(7, "0")[:7])
    return UNIX_EPOCH_TICKS + int(moment.timestamp()) * TICKS_PER_SECOND + fraction
