"""An operation that takes its time, for runs that something has to happen in the midst of."""

import time
from pathlib import Path

from batchimg_worker.operations import operation

LONGEST = 1.0


@operation(primary="gate")
def slowly(image, *, gate: str):
    """Give the image back after a second, or as soon as there is a file of the name ``gate``."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and not Path(gate).exists():
        time.sleep(0.01)
    return image
