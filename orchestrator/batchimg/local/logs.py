"""Log files of processes that run for days."""

import os
import shutil
from pathlib import Path

LIMIT_BYTES = 50_000_000


def trim(log: Path, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Empty a log that is over the limit, keeping its text as `<name>.1`; whether it was.

    The writer keeps its open file, which must be in append mode. On a full disk only
    the copy is lost.
    """
    try:
        if log.stat().st_size <= limit_bytes:
            return False
        older = log.with_name(f"{log.name}.1")
        try:
            shutil.copyfile(log, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(log, 0)
    except OSError:
        return False
    return True


def tail(log: Path, lines: int = 3, max_bytes: int = 4096) -> str:
    """The last lines of a log that are not empty, joined with ` | `."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - max_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])
