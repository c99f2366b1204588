"""What `why` can find: a name for scripts, a verdict, one sentence, and what to type."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from batchimg.seen import Trouble
from batchimg.snapshot import Snapshot


class Verdict(Enum):
    """How a run is; the value is the exit code of `batchimg why`."""

    WELL = 0
    INCOMPLETE = 1
    NO_ANSWER = 3
    WAITING = 4
    BLOCKED = 5
    LIMPING = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so. ``todo`` is what to type, or to do; empty where waiting is all."""

    name: str
    verdict: Verdict
    sentence: str
    todo: str = ""


Rule = Callable[[Snapshot], Finding | None]

WAIT: Final = "Wait: batchimg status --watch"


def stuck(seen: Snapshot) -> Verdict:
    """What is wrong with a part blocks a run of which nothing runs; any other one limps."""
    return Verdict.LIMPING if seen.counts.running else Verdict.BLOCKED


def ago(seconds: float | None) -> str:
    """`, 3 min ago`, in whole units; empty where it is not known."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f", {seconds / size:.0f} {unit} ago"
    return f", {seconds:.0f} s ago"


def spoken(trouble: Trouble) -> str:
    """A trouble in a sentence: its message and its code."""
    message = trouble.message.strip().rstrip(".") or next((value for _, value in trouble.details), "")
    return f"{message} ({trouble.code})" if message else trouble.code


def last_line(text: str) -> str:
    """The last line of an output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def nodes(number: int) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number:,} node" + ("" if number == 1 else "s")
