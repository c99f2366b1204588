"""What an operation raised, as an error of the image that says where it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from batchimg_worker.errors import OperationFailed


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn whatever an operation raises into one line of OperationFailed: one of a third party may raise anything.

    One that calls `sys.exit` ends itself, and not the task.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, MemoryError):
            reason = "not enough memory"
        if isinstance(error, SystemExit):
            reason = "it called sys.exit"
        hint = "Change the step, or take the image out of the dataset."
        raise OperationFailed(f"{where}: {reason}", hint) from error
