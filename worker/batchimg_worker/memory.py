"""How a task's memory is shared out: a base, two queues, and the rest for the image in hand."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from batchimg_worker.contract import Limits

if TYPE_CHECKING:
    from batchimg_worker.codec import DecodeLimits

MIB = 1 << 20
BASE_BYTES = 200 * MIB  # the interpreter with its libraries
QUEUE_SHARE = 8  # each of the two queues may hold an eighth
QUEUE_BYTES = 48 * MIB  # and no more than this: a second of network brings it
TOLERATED = 1.25  # of the setting; a worker that holds more is ended before the node runs out of memory


def queue_bytes(limits: Limits) -> int:
    """What originals that wait for the decoder may take together; the same goes for pictures that are being written."""
    return min(limits.memory_mb * MIB // QUEUE_SHARE, QUEUE_BYTES)


def most_bytes(limits: Limits) -> int:
    """What a worker may hold before it is ended."""
    return int(limits.memory_mb * MIB * TOLERATED)


def image_limits(limits: Limits) -> DecodeLimits:
    """What one image may take while it is worked on."""
    from batchimg_worker.codec import DecodeLimits

    room = limits.memory_mb * MIB - BASE_BYTES - 2 * queue_bytes(limits)
    return DecodeLimits(
        max_megapixels=limits.max_megapixels,
        memory_bytes=room,
        allow_truncated=bool(limits.allow_truncated),
        memory_mb=limits.memory_mb,
    )


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # mallopt(3)
TOP_PAD_BYTES = 64 * MIB


def give_back_freed_memory() -> None:
    """Give the system what was freed and kept: before something large, which seldom fits into what is free.

    Costs the pages that are used again, some milliseconds for 100 MB. Does nothing with another C library.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def keep_freed_memory() -> None:
    """Tell glibc to use freed memory again instead of giving it back: pictures come and go, all of a size.

    Otherwise each large array is made of fresh pages, which the kernel has to fill with zeros: a tenth of all work.
    Call it before threads start. Does nothing with another C library.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES)):
        mallopt(ctypes.c_int(option), ctypes.c_int(value))
