"""Why a command did not succeed: the service's codes, with its messages."""

from __future__ import annotations

from batch_emulator import output_files, resource_files
from batch_emulator.applications import PackageError
from batch_emulator.entities import Failure

_USER_ENDED = "Task Was Ended by User Request"
ENDED = Failure("usererror", "TaskEnded", _USER_ENDED)
TIMED_OUT = Failure(
    "usererror",
    "TaskEnded",
    _USER_ENDED,
    (("Message", "The maximum execution time configured on the task was exceeded"),),
)
_EXIT_MESSAGE = "The task exited with an exit code representing a failure"
FAILED = Failure(
    "usererror",
    "FailureExitCode",
    _EXIT_MESSAGE,
    (("Message", _EXIT_MESSAGE), ("AdditionalErrorCode", "FailureExitCode")),
)
_START_FAILURES = {
    "CommandProgramNotFound": "The specified command program is not found",
    "CommandLaunchFailed": "Failed to launch the specified command line",
    "ResourceDirectoryCreateFailed": "Failure encountered creating resource directory for the task",
    "BlobDownloadMiscError": "Miscellaneous error encountered while downloading a resource file",
    "ApplicationPackageInstallFailed": "One of the specified application packages could not be installed",
}
PREPROCESSING_CODES = frozenset(_START_FAILURES) | frozenset(resource_files.MESSAGES)
UPLOAD_CODES = frozenset(output_files.MESSAGES)


def before_start(code: str, reason: str) -> Failure:
    """A command that was never started."""
    return Failure("usererror", code, _START_FAILURES[code], (("Message", reason),))


def of_files(error: BaseException) -> Failure:
    """What went wrong before or after a command, with its files."""
    if isinstance(error, (resource_files.ResourceFileError, PackageError)):
        return error.failure
    return before_start("BlobDownloadMiscError", str(error))


def of_upload(error: BaseException) -> Failure:
    """What went wrong with output files."""
    if isinstance(error, output_files.UploadError):
        return error.failure
    message = output_files.MESSAGES["FileUploadMiscError"]
    return Failure("usererror", "FileUploadMiscError", message, (("Reason", str(error)),))
