"""Chunk: cut a dataset into ranges of about equal work, one a task."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

# What the built-in recipe took on one core; only the proportion of the two matters much.
SECONDS_PER_MEGABYTE = 0.6
SECONDS_PER_IMAGE = 0.02
TARGET_SECONDS = 240.0  # tasks of 2 to 10 minutes: shorter ones are mostly start-up, longer ones hurt when preempted
SHORTEST_SECONDS = 2.0  # not worth a process of its own
SPREAD = 8  # a small dataset is cut so far that several slots have something to do
MOST_IMAGES = 5_000
MOST_MEASURED = 20_000  # images of a chunk whose speed is known: its records are read by one task


@dataclass(frozen=True, slots=True)
class Cut:
    """How to cut: see `split`."""

    images: int | None = None
    factor: float | None = None


AS_USUAL = Cut()


def split(sizes: array[int], images_per_chunk: int | None = None, factor: float | None = None) -> list[range]:
    """Cut images, given by their sizes in bytes, into ranges.

    With ``images_per_chunk`` each has so many images (the last one fewer); else each has about the same work, which
    is ``factor`` times `work_seconds` where that was measured.
    """
    total = len(sizes)
    if images_per_chunk is not None:
        return [range(start, min(start + images_per_chunk, total)) for start in range(0, total, images_per_chunk)]
    factor, most = (1.0, MOST_IMAGES) if factor is None else (factor, MOST_MEASURED)
    target = _target_seconds(factor * work_seconds(sum(sizes), total))
    chunks, start, seconds = [], 0, 0.0
    for index, size in enumerate(sizes):
        seconds += factor * work_seconds(size)
        if seconds >= target or index + 1 - start >= most:
            chunks.append(range(start, index + 1))
            start, seconds = index + 1, 0.0
    if start < total:
        chunks.append(range(start, total))
    return chunks


def work_seconds(size: int, images: int = 1) -> float:
    """About how long one core works on images of so many bytes together."""
    return size / 1e6 * SECONDS_PER_MEGABYTE + images * SECONDS_PER_IMAGE


def _target_seconds(work: float) -> float:
    chunks = max(math.ceil(work / TARGET_SECONDS), min(SPREAD, math.ceil(work / SHORTEST_SECONDS)), 1)
    return work / chunks * (1 - 1e-9)
