"""Core hours of pools, in half hours, as late as the service tells them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import timestamp, timestamp_ticks
from batch_emulator.errors import query_error
from batch_emulator.filters import Property
from batch_emulator.paging import collect, list_reply, numbered
from batch_emulator.usage import INTERVAL, UsageRow
from batch_emulator.wire import Reply, Request

DELAY = 2 * 3600 * TICKS_PER_SECOND
"""Metrics are told two hours after their interval."""

PROPERTIES: dict[str, Property[UsageRow]] = {
    "poolId": lambda row: row.pool_id,
    "vmSize": lambda row: row.vm_size,
    "startTime": lambda row: row.start,
    "endTime": lambda row: row.end,
}


def _moment(request: Request, name: str, latest: int, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        ticks = timestamp_ticks(text)
    except ValueError as error:
        raise query_error(name, text, str(error)) from error
    if ticks > latest:
        raise query_error(name, text, f"Expected {timestamp(latest)} at the latest: metrics come two hours late.")
    return ticks


def list_usage(account: Account, request: Request) -> Reply:
    """The intervals between startTime and endtime; by default the last one that is told."""
    now = account.now()
    told = now - DELAY
    last = told - told % INTERVAL
    name = "starttime" if "starttime" in request.query else "startTime"  # the name of 2025-06-01 is the latter
    start = _moment(request, name, told - INTERVAL, last - INTERVAL)
    end = _moment(request, "endtime", told, last)
    rows: Iterable[UsageRow] = (row for row in account.usage.rows if row.start >= start and row.end <= end)
    page = collect(request, numbered(rows, request), PROPERTIES, _fields)
    return list_reply(account, request, "poolusagemetrics", page)


def _fields(row: UsageRow) -> dict[str, Any]:
    return {
        "poolId": row.pool_id,
        "startTime": timestamp(row.start),
        "endTime": timestamp(row.end),
        "vmSize": row.vm_size,
        "totalCoreHours": round(row.core_hours, 6),
    }
