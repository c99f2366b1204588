"""What happens, as values: library code reports it, the console draws it, a test collects it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""


@dataclass(frozen=True, slots=True)
class Told(Event):
    """A sentence for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """A stage moved on. ``total`` is None while it is not known; both count in ``unit``."""

    stage: str
    done: int
    total: int | None
    unit: str = "images"
    bytes: int = 0
    skipped: int = 0


Observer = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """The observer that looks away."""
