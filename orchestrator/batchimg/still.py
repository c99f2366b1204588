"""A status of a run in which nothing moves gets the reason: the sentence of `batchimg why`."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from batchimg.connect import Services
from batchimg.snapshot import take
from batchimg.watch import RunStatus
from batchimg.why import Verdict, reason_of
from batchimg_worker.contract import RunSpec
from batchimg_worker.errors import StorageError

STILL_SECONDS = 5.0  # before a run that is watched is asked why
AGAIN_SECONDS = 15.0  # between two questions


def stands_still(status: RunStatus) -> bool:
    """Whether a run is not over and none of its tasks runs."""
    return not status.is_over and status.chunks.running == 0


def with_reason(services: Services, spec: RunSpec, status: RunStatus) -> RunStatus:
    """The status, with the reason as its note where nothing moves and something can be said of it."""
    if not stands_still(status):
        return status
    try:
        finding = reason_of(take(services, spec, status)).finding
    except StorageError:
        return status  # blob storage has gone since
    if finding.verdict is Verdict.NO_ANSWER:
        return status  # its own note says that already
    return replace(status, note=f"{finding.sentence} {finding.todo} (batchimg why {spec.run})")


def with_reasons(services: Services, spec: RunSpec, statuses: Iterable[RunStatus]) -> Iterator[RunStatus]:
    """The statuses of a run that is watched; where it stands still for some seconds, with the reason."""
    since: float | None = None
    asked, note = 0.0, None
    for status in statuses:
        now = time.monotonic()
        if not stands_still(status):
            since, note = None, None
            yield status
            continue
        since = now if since is None else since
        if now - since >= STILL_SECONDS and (note is None or now - asked >= AGAIN_SECONDS):
            note, asked = with_reason(services, spec, status).note, now
        yield status if note is None else replace(status, note=note)
