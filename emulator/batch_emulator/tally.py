"""What tasks have used, and how often they were tried: the ground of $expand=stats."""

from __future__ import annotations

from dataclasses import dataclass, fields

BLOCK = 512
"""Bytes of a block, as the kernel counts what was read from and written to disks."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a process and all its descendants that it waited for have used: seconds of processors, blocks of disks."""

    user: float = 0.0
    kernel: float = 0.0
    read: int = 0
    written: int = 0


NOTHING = Used()


@dataclass(slots=True)
class Tally:
    """Of a task: all its tries together. Of a job: of all its tasks, those that are deleted too."""

    user: float = 0.0
    kernel: float = 0.0
    wall: float = 0.0
    """Seconds of the service's time that commands ran."""
    read: int = 0
    written: int = 0
    retries: int = 0
    succeeded: int = 0
    failed: int = 0

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
