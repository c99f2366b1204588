"""Notify: tell a webhook that a run is over. Its URL is a secret: nothing here repeats more of it than its host."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_exponential

from batchimg.errors import SettingsError
from batchimg.events import Observer, Told
from batchimg.watch import RunStatus
from batchimg_worker.storage import is_loopback
from batchimg_worker.version import __version__

if TYPE_CHECKING:
    import requests

BELL = "bell"
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
ATTEMPTS = 3
BUSY = (408, 429)


def check_target(target: str) -> str:
    """A URL that may be told, or `bell`. Raises SettingsError, which does not repeat the URL."""
    if target == BELL:
        return target
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(target))):
        raise SettingsError(
            "what to notify is neither an https URL nor `bell`",
            "Give https://HOST/PATH, http:// on this machine alone, or `bell` for the terminal's bell.",
        )
    return target


def message_of(status: RunStatus) -> dict[str, Any]:
    """What is sent: `text` for chats, the rest for machines."""
    took = (status.ended - status.started).total_seconds() if status.started and status.ended else None
    parts = [f"{status.done:,} of {status.images:,} images done"]
    parts += [f"{status.failed:,} failed"] if status.failed else []
    parts += [f"{status.lost:,} not reached"] if status.lost else []
    return {
        "event": "run-over",
        "text": f"batchimg: run {status.run} is {status.state}: {', '.join(parts)}.",
        "run": status.run,
        "state": status.state,
        "images": status.images,
        "done": status.done,
        "failed": status.failed,
        "lost": status.lost,
        "causes": status.causes,
        "seconds": took,
        "version": __version__,
    }


def notify(target: str, status: RunStatus, observer: Observer) -> bool:
    """POST the message, three times at most. That it was not taken is a remark, never an error: False."""
    host = urlsplit(target).hostname
    with session_for(target) as session:
        attempts = Retrying(
            retry=retry_if_result(lambda answer: answer is not None and answer[0]),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=0.25),
        )
        try:
            answer = attempts(_post, session, target, status)
        except RetryError as error:
            answer = error.last_attempt.result()
    if answer is None:
        return True
    observer(Told(f"{host} was not notified that run {status.run} is over: {answer[1]}."))
    return False


def session_for(target: str) -> "requests.Session":
    """What posts to a webhook: through the environment's proxy, but without anybody's password."""
    import requests

    session = requests.Session()
    session.trust_env = not is_loopback(target)
    session.auth = _UrlAuth()
    return session


def _trouble(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    return "it did not answer in time" if isinstance(error, requests.Timeout) else "it cannot be reached"


class _UrlAuth:
    """Signs in with what the URL itself says: without it, `requests` would send what ~/.netrc has for that host."""

    def __call__(self, request: Any) -> Any:
        from requests.auth import HTTPBasicAuth
        from requests.utils import get_auth_from_url

        own = get_auth_from_url(request.url)
        return HTTPBasicAuth(*own)(request) if any(own) else request


def _post(session: Any, target: str, status: RunStatus) -> tuple[bool, str] | None:
    """None where it was taken; else whether it is worth another attempt, and why it was not."""
    import requests

    try:
        answer = session.post(
            target,
            json=message_of(status),
            headers={"user-agent": f"batchimg/{__version__}"},
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
            stream=True,
        )
    except (requests.RequestException, ValueError) as error:  # urllib3's own of a host's name is the latter
        untrusted = isinstance(error, requests.exceptions.SSLError)
        again = isinstance(error, requests.ConnectionError | requests.Timeout) and not untrusted
        return again, f"{_trouble(error)} ({type(error).__name__})"
    answer.close()
    code = int(answer.status_code)
    if 200 <= code < 300:
        return None
    return code >= 500 or code in BUSY, f"it answered {code}"
