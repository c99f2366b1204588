"""What Azure Batch says when it refuses or does not answer, in our own words: translated once and here."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from batchimg.errors import ServiceError
from batchimg_worker.storage import reason_of

PATIENCE_SECONDS = 60.0  # how long a change rides out a service that is busy or away
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
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        code = _code(error)
        message = f"cannot {action}: {reason_of(error)} ({code})"
        if code in {"JobCompleted", "JobTerminating"}:
            raise JobDone(message, code=code) from error
        kind = PassingError if code in PASSING or (error.status_code or 0) >= 500 else ServiceError
        raise kind(message, _hint(code, error.status_code), code=code) from error
    except AzureError as error:
        raise PassingError(
            f"cannot {action}: no answer from Azure Batch: {reason_of(error)}",
            "Is the endpoint right and reachable? `batchimg local status` tells of the local stack.",
            code="Unreachable",
        ) from error


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


def _hint(code: str, status: int | None) -> str:
    hints = {
        "PoolNotFound": "`pulumi up` makes the pool; the setting `pool` names it.",
        "AuthenticationFailed": "Sign in with `az login`, and see that you have the role Azure Batch Job Submitter.",
        "ActiveJobAndScheduleQuotaReached": "End a job, or ask for a larger quota of active jobs.",
    }
    if status in {401, 403}:
        return hints.get(code, hints["AuthenticationFailed"])
    return hints.get(code, "")
