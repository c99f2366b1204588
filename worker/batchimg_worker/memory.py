"""How a task's memory is shared out: a base, two queues, and the rest for the image in hand."""

from batchimg_worker.codec import DecodeLimits
from batchimg_worker.contract import Limits

MIB = 1 << 20
BASE_BYTES = 200 * MIB  # the interpreter with its libraries
QUEUE_SHARE = 8  # each of the two queues may hold an eighth


def queue_bytes(limits: Limits) -> int:
    """What originals that wait for the decoder may take together; the same goes for pictures that are being written."""
    return limits.memory_mb * MIB // QUEUE_SHARE


def image_limits(limits: Limits) -> DecodeLimits:
    """What one image may take while it is worked on."""
    room = limits.memory_mb * MIB - BASE_BYTES - 2 * queue_bytes(limits)
    return DecodeLimits(max_megapixels=limits.max_megapixels, memory_bytes=room)
