"""What can go wrong on the laptop; the exit code of each is mapped once, in the command's `main`."""

from typing import ClassVar


class BatchimgError(Exception):
    """The root of every error that a user sees. ``hint`` is the next action, one sentence or empty."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(BatchimgError):
    """A setting, an option or an argument is wrong."""

    exit_code = 2


class InputError(BatchimgError):
    """The dataset, or a path on this machine, is not what the command needs."""

    exit_code = 2


class UnknownRun(InputError):  # noqa: N818 - it reads as what it says
    """There is no such run."""


class ServiceError(BatchimgError):
    """Azure Batch refused or did not answer; ``code`` is the service's own error code."""

    def __init__(self, message: str, hint: str = "", *, code: str = "Unknown") -> None:
        super().__init__(message, hint)
        self.code = code


class MachineError(BatchimgError):
    """This machine cannot go on: the disk is full, a port is taken, a program is missing."""


class AnswerLost(MachineError):  # noqa: N818 - it reads as what it says
    """Standard output cannot be written: a full disk, say."""


class RunFailed(BatchimgError):  # noqa: N818 - it reads as what it says
    """A run ended and not all of its images are done."""

    exit_code = 1
