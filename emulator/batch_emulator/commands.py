"""What is started on a node, and what it looks like from outside; launcher.py does it with real processes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from batch_emulator.tally import Used

GRACE_SECONDS = 3.0
"""From SIGTERM to SIGKILL when a task is ended from outside."""
PROGRAM_NOT_FOUND = "CommandProgramNotFound"
LAUNCH_FAILED = "CommandLaunchFailed"


class LaunchError(Exception):
    """The command could not be started; `code` is Azure's word for why."""

    def __init__(self, reason: str, *, code: str = LAUNCH_FAILED) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def not_found(self) -> bool:
        """Whether the program does not exist."""
        return self.code == PROGRAM_NOT_FOUND


Failed = Callable[[LaunchError], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: no shell is involved. The working directory is made."""

    arguments: list[str]
    cwd: str
    environment: Mapping[str, str]
    stdout: str
    stderr: str
    lasting: bool = False
    """What it leaves in the background lives on after it, until its process is told to `end_background`."""


def split_command(line: str) -> list[str]:
    """The arguments of a command line, quoted as in a shell but with no shell involved; or LaunchError."""
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise LaunchError(f"the command line cannot be split: {error}") from error
    if not arguments:
        raise LaunchError("the command line is empty")
    return arguments


class Process(Protocol):
    """A started command."""

    @property
    def mark(self) -> str:
        """Pid and start time: enough to find the group again after a restart, and nothing else."""

    @property
    def used(self) -> Used:
        """What it has used, once it has ended (and what it left in the background too)."""

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask the group to end, and kill it after `grace` seconds; 0 kills at once."""

    def end_background(self) -> None:
        """Kill what a lasting command has left."""


class Launcher(Protocol):
    """Starts commands and tells when they have ended."""

    def launch(self, command: Command, ended: Callable[[int], None], failed: Failed | None = None) -> Process:
        """Start a command; `ended` gets its exit code later (128 + n for signal n).

        If it cannot be started, either LaunchError is raised or `failed` is called later with it.
        """

    def close(self) -> None:
        """Kill everything that still runs and wait for it."""
