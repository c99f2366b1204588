"""The log: one line an event on standard output, where a supervisor collects it."""

from __future__ import annotations

import sys
import time


def line(text: str) -> None:
    """Write one line with the time before it."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stdout.flush()
