"""What Azure Batch says when it refuses or does not answer, in our own words: translated once and here."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from batchimg.errors import ServiceError
from batchimg_worker.storage import reason_of

PATIENCE_SECONDS = 60.0  # how long a change rides out a service that is busy or away
MOST_MINUTES_WRONG = 14  # of a clock; at 15 Azure refuses
PASSING = frozenset(
    {
        "Unreachable",
        "ServerBusy",
        "TooManyRequests",
        "OperationTimedOut",
        "InternalError",
        "429",
        "500",
        "503",
    }
)


class PassingError(ServiceError):
    """The service is busy or away; the same call may do later."""


class JobDone(ServiceError):  # noqa: N818 - no error: somebody else was first
    """The job has ended already."""


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn whatever the client raises into ServiceError, once and here."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and error.response is None:  # no token to ask with
            raise not_signed_in(action, error) from error
        code = _code(error)
        message = f"cannot {action}: {reason_of(error)} ({code})"
        if code in {"JobCompleted", "JobTerminating"}:
            raise JobDone(message, code=code) from error
        kind = PassingError if code in PASSING or (error.status_code or 0) >= 500 else ServiceError
        raise kind(message, _hint_of(error, code), code=code) from error
    except AzureError as error:
        raise PassingError(
            f"cannot {action}: no answer from Azure Batch: {reason_of(error)}",
            "Is the endpoint right and reachable? `batchimg local status` tells of the local stack.",
            code="Unreachable",
        ) from error


def not_signed_in(action: str, error: BaseException) -> ServiceError:
    """The error of an identity that gives no token."""
    hint = "Sign in with `az login`; where that fails too, see to the network: name server, HTTPS_PROXY."
    return ServiceError(f"cannot {action}: signing in failed: {reason_of(error)}", hint, code="AuthenticationFailed")


def patiently(call: Callable[[], object]) -> None:
    """Call until it does not raise PassingError, for a minute at most."""
    for attempt in retrying():
        with attempt:
            call()


def retrying() -> Retrying:
    """Attempts that ride out PassingError, for a minute at most."""
    return Retrying(
        retry=retry_if_exception_type(PassingError),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=8),
        reraise=True,
    )


def _code(error: Any) -> str:
    code = getattr(getattr(error, "error", None), "code", None) or getattr(getattr(error, "model", None), "code", None)
    return str(code or error.status_code or "Unknown")


def _hint_of(error: Any, code: str) -> str:
    said = error.response.headers.get("Date") if error.status_code in {401, 403} and error.response else None
    return clock_hint(said, datetime.now(UTC)) or _hint(code, error.status_code)


def clock_hint(said: str | None, now: datetime) -> str:
    """What to do where the service's clock (an HTTP date) and this machine's differ by more than it allows."""
    try:
        wrong = (now - parsedate_to_datetime(said or "")).total_seconds() / 60
    except (TypeError, ValueError):
        return ""
    if abs(wrong) < MOST_MINUTES_WRONG:
        return ""
    way = "fast" if wrong > 0 else "slow"
    return f"This machine's clock is {abs(wrong):.0f} minutes {way}, which Azure does not allow: set it right."


def _hint(code: str, status: int | None) -> str:
    hints = {
        "PoolNotFound": "`pulumi up` makes the pool; the setting `pool` names it.",
        "AuthenticationFailed": "Sign in with `az login`, and see that you have the role Azure Batch Job Submitter.",
        "ActiveJobAndScheduleQuotaReached": "End a job, or ask for a larger quota of active jobs.",
    }
    if status in {401, 403}:
        return hints.get(code, hints["AuthenticationFailed"])
    return hints.get(code, "")
