"""Faults of the wire: before a request is applied, and after."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.errors import BatchError
from batch_emulator.faults.model import (
    AppliedThenError,
    CutConnection,
    FaultBase,
    HttpError,
    Quota,
    Slow,
    StaleCounts,
    TaskStatusCasing,
)
from batch_emulator.faults.registry import Faults, Occasion
from batch_emulator.wire import Cut, Reply

Refuse = Callable[[BatchError], Reply]

_ANYWHERE: tuple[type[FaultBase], ...] = (HttpError, AppliedThenError, Slow, CutConnection)
_COUNTS, _COLLECTION = "GET /jobs/{jobId}/taskcounts", "POST /jobs/{jobId}/addtaskcollection"
_SOMEWHERE: dict[str, type[FaultBase]] = {_COUNTS: StaleCounts, _COLLECTION: TaskStatusCasing}
_QUOTAS = {"POST /pools": "pools", "POST /jobs": "jobs", "POST /jobschedules": "jobs"}
_QUOTA_CODES = {"pools": "PoolQuotaReached", "jobs": "ActiveJobAndScheduleQuotaReached"}
_CODES = {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy"}
_CASINGS = {
    "lower": ("success", "clienterror"),
    "camel": ("success", "clientError"),
    "pascal": ("Success", "ClientError"),
}
_CUTS: dict[str, Cut] = {"before": "headers", "after": "headers", "after-headers": "body", "mid-body": "rest"}
KEPT_COUNTS = 1000


@dataclass
class Trouble:
    """What happens to one request. `refuse` turns an error into a reply."""

    faults: list[FaultBase]
    operation: str
    refuse: Refuse

    async def before(self) -> Reply | None:
        """Wait, if the request is slow; the reply to give instead of applying the request, or None."""
        reply: Reply | None = None
        for fault in self.faults:
            if isinstance(fault, Slow) and fault.when == "before":
                await asyncio.sleep(fault.seconds)
            elif isinstance(fault, HttpError) and fault.when == "before":
                reply = reply or self._error(fault)
            elif isinstance(fault, Quota):
                reply = reply or self.refuse(BatchError(_QUOTA_CODES[fault.of]))
            elif isinstance(fault, CutConnection) and fault.where == "before":
                reply = Reply(cut="headers")
        return reply

    async def after(self, reply: Reply) -> Reply:
        """What becomes of the reply to a request that was applied."""
        for fault in self.faults:
            if isinstance(fault, Slow) and fault.when == "after":
                await asyncio.sleep(fault.seconds)
            elif isinstance(fault, AppliedThenError):
                reply = self.refuse(BatchError("InternalError"))
            elif isinstance(fault, HttpError) and fault.when == "after":
                reply = self._error(fault)
            elif isinstance(fault, TaskStatusCasing):
                _recase(reply, fault.casing)
            elif isinstance(fault, CutConnection) and fault.where != "before":
                reply.cut = _CUTS[fault.where]
        return reply

    def _error(self, fault: HttpError) -> Reply:
        reply = self.refuse(BatchError(_CODES[fault.status]))
        if fault.retry_after is not None:
            reply.headers["retry-after"] = str(fault.retry_after)
        return reply


def _is_of(quota: str, fault: Quota) -> bool:
    return fault.of == quota


def _recase(reply: Reply, casing: str) -> None:
    if reply.status != 200 or not isinstance(reply.body, bytes):
        return
    body = json.loads(reply.body)
    success, refused = _CASINGS[casing]
    for result in body["value"]:
        result["status"] = success if result["status"].lower() == "success" else refused
    reply.body = json.dumps(body, separators=(",", ":")).encode()


_Looks = deque[tuple[int, bytes]]


@dataclass
class HttpFaults:
    """The faults of requests that are set for an account."""

    account: Account
    faults: Faults
    _counts: dict[str, _Looks] = field(default_factory=dict)

    def trouble(self, operation: str, ids: dict[str, str], refuse: Refuse) -> Trouble:
        """What fires for a request of this operation and these path parameters."""
        occasion = Occasion(operation, {name: value.lower() for name, value in ids.items()})
        kinds = _ANYWHERE
        if operation in _SOMEWHERE:
            kinds = (*kinds, _SOMEWHERE[operation])
        fired = self.faults.fired(kinds, occasion)
        quota = _QUOTAS.get(operation)
        if quota is not None:
            fired += self.faults.fired((Quota,), occasion, partial(_is_of, quota))
        return Trouble(fired, operation, refuse)

    def remember(self, trouble: Trouble, job_id: str, reply: Reply) -> None:
        """Keep the counts of a job that were just asked for; show old ones instead if they are to be stale."""
        if trouble.operation != _COUNTS or reply.status != 200 or not isinstance(reply.body, bytes):
            return
        now = self.account.now()
        looks = self._counts.setdefault(job_id.lower(), deque(maxlen=KEPT_COUNTS))
        fresh = reply.body
        for fault in trouble.faults:
            if isinstance(fault, StaleCounts):
                reply.body = _older(looks, now - int(fault.seconds * TICKS_PER_SECOND)) or _nothing_yet(fresh)
        looks.append((now, fresh))


def _older(looks: _Looks, latest: int) -> bytes | None:
    """The newest look that is old enough, or the first one there was."""
    old = [body for ticks, body in looks if ticks <= latest]
    return old[-1] if old else (looks[0][1] if looks else None)


def _nothing_yet(body: bytes) -> bytes:
    """Counts as before the first task was added."""
    found = json.loads(body)
    for group in ("taskCounts", "taskSlotCounts"):
        found[group] = dict.fromkeys(found[group], 0)
    return json.dumps(found, separators=(",", ":")).encode()
