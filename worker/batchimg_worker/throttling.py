"""A transport for the blob client that has a busy service asked again."""

from typing import Any

from azure.core.pipeline.transport import RequestsTransport

TOO_MANY_REQUESTS, UNAVAILABLE = 429, 503


class ThrottledTransport(RequestsTransport):  # type: ignore[misc] # azure-core exports it in a way mypy cannot see
    """Shows 429 as 503: the blob client asks again after 503 (and all of 5xx), but gives up at once after 429."""

    def send(self, request: Any, **options: Any) -> Any:
        """The answer to a request."""
        answer = super().send(request, **options)
        if answer.status_code == TOO_MANY_REQUESTS:
            answer.status_code = UNAVAILABLE
        return answer
