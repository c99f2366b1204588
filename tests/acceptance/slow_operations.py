"""An operation that takes its time, for runs that something has to happen in the midst of."""

import time

from batchimg_worker.operations import operation


@operation()
def slowly(image):
    """Give the image back after a while."""
    time.sleep(0.4)
    return image
