"""A disk of this machine that is full, or cannot be written to: what to say of it."""

import errno
from pathlib import Path

from batchimg.errors import MachineError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def full_or_broken(error: OSError, to: Path) -> MachineError:
    """What went wrong while something was written below ``to``."""
    if error.errno in FULL:
        return MachineError(
            f"the disk of {str(to)!r} is full",
            "Make room and type the same command again: files that have arrived are not fetched again.",
        )
    return MachineError(
        f"cannot write to {str(to)!r}: {error.strerror or error}",
        "See to its permissions, or give another --to.",
    )
