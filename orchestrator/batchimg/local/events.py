"""What happens while the local stack comes up; the console draws these."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WaitingForOther:
    """Another `batchimg` of this user is doing the same `work` right now; this one waits for its end."""

    work: str


@dataclass(frozen=True, slots=True)
class InstallStarted:
    """Azurite is not in the cache yet: npm fetches it. `log` is npm's own output."""

    version: str
    folder: Path
    log: Path


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """`fetched` of `expected` downloads (two a package) are here; `expected` is known from the lock file."""

    fetched: int
    expected: int


@dataclass(frozen=True, slots=True)
class InstallFinished:
    """Azurite is in the cache, for this and all later starts."""

    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StackStarting:
    """The background processes are being started; `log` is the supervisor's."""

    log: Path


@dataclass(frozen=True, slots=True)
class StackReady:
    """Blob, queue and Batch answer."""

    seconds: float


LocalEvent = WaitingForOther | InstallStarted | InstallProgress | InstallFinished | StackStarting | StackReady
OnEvent = Callable[[LocalEvent], None]


def ignore(event: LocalEvent) -> None:
    """Listen to nothing."""
    del event
