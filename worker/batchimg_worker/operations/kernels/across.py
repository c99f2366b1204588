"""Weighted sums within rows, by way of the transposed array: there they are sums of rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from batchimg_worker.operations.arrays import Image, Plane
from batchimg_worker.operations.kernels import native
from batchimg_worker.operations.kernels.resampling import Taps

TABLE_VALUES = 1 << 17
"""Weights that are held at a time."""


@dataclass(frozen=True)
class Block:
    """The outputs from start to stop, made of the inputs from first to last; ``taps`` counts from first."""

    start: int
    stop: int
    first: int
    last: int
    taps: Taps


@dataclass
class Across:
    """A filter along rows with ``outputs`` results; ``taps_of`` gives the weights of some of them, by number."""

    outputs: int
    taps_of: Callable[[int, int], Taps]
    _only: Block | None = field(default=None, init=False)

    def apply(self, rows: Plane, channels: int, target: Image) -> None:
        """Fill ``target``, (rows, outputs * channels) and float32, from rows with their channels side by side."""
        count = len(rows)
        for block in self._blocks():
            part = rows[:, block.first * channels : block.last * channels]
            turned = np.empty((part.shape[1], count), np.float32)
            native.transpose(part, turned)
            filtered = np.empty((block.stop - block.start, channels * count), np.float32)
            taps = block.taps
            native.weighted_rows(turned.reshape(-1, channels * count), taps.index, taps.weights, filtered)
            native.transpose(filtered.reshape(-1, count), target[:, block.start * channels : block.stop * channels])

    def _blocks(self) -> Iterator[Block]:
        """All blocks; where there is only one, it is kept."""
        if self._only is not None:
            yield self._only
            return
        step = max(64, TABLE_VALUES // self.taps_of(0, 1).index.shape[1])
        for start in range(0, self.outputs, step):
            stop = min(start + step, self.outputs)
            taps = self.taps_of(start, stop)
            first, last = int(taps.index.min()), int(taps.index.max()) + 1
            block = Block(start, stop, first, last, Taps(taps.index - np.int32(first), taps.weights))
            if stop - start == self.outputs:
                self._only = block
            yield block
