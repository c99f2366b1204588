"""What results need of an original: the part of it that is read, and how many of its rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from batchimg_worker.contract import Band
from batchimg_worker.operations import Region
from batchimg_worker.tiles.chain import WORKERS
from batchimg_worker.tiles.original import Look

if TYPE_CHECKING:
    from batchimg_worker.tiles.plan import Result


def extent_of(results: Sequence[Result], seen: Look, band: Band) -> Region:
    """What is read of the original, as it is stored.

    Of an image that is read sparingly it is what is needed. Else all is read; of a band the rows that it needs, and for
    the first and the last one those to the image's ends: together they read all of it, so that damage is noticed.
    """
    header = seen.header
    everything = Region(0, header.height, 0, header.width)
    if header.orientation != 1 or not results:
        return everything
    needed = [region for result in results for region in result.needed()]
    if seen.sparing:
        return around([*needed, *(region for result in results for region in result.counted())])
    if band.of == 1 or any(result.surveyed for result in results):
        return everything
    top = 0 if band.number == 0 else min((region.top for region in needed), default=header.height)
    last = band.number == band.of - 1
    bottom = header.height if last else max((region.bottom for region in needed), default=top)
    return Region(top, bottom, 0, header.width)


def around(regions: Iterable[Region]) -> Region:
    """The smallest region that holds them all; empty where none holds a pixel."""
    filled = [region for region in regions if region.height > 0 and region.width > 0]
    if not filled:
        return Region(0, 0, 0, 0)
    return Region(
        min(region.top for region in filled),
        max(region.bottom for region in filled),
        min(region.left for region in filled),
        max(region.right for region in filled),
    )


def window_of(results: Sequence[Result], orientation: int) -> int:
    """The rows of the original that the strips in hand need; 0 where they are not read once from top to bottom."""
    if len(results) != 1 or orientation != 1:
        return 0
    (result,) = results
    needed = [] if result.surveyed else result.needed()
    tops = [region.top for region in needed]
    if not tops or tops != sorted(tops):
        return 0
    return max(
        max(region.bottom for region in needed[first : first + WORKERS + 1]) - top for first, top in enumerate(tops)
    )
