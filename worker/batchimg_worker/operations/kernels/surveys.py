"""First passes over an image, region by region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.reference import shapes, tones
from batchimg_worker.operations.reference.layers import colours, counts, grey

Counts = npt.NDArray[np.int64]


@dataclass
class Extremes:
    """The smallest and the largest value."""

    low: float = np.inf
    high: float = -np.inf

    def add(self, array: Image) -> None:
        """Look at one region."""
        low, high = depth.extremes(array)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def found(self) -> tuple[float, float]:
        """Both."""
        return self.low, self.high


@dataclass
class Counted:
    """How often each level occurs."""

    total: Counts | None = field(default=None, init=False)

    def _count(self, values: Image) -> None:
        found = counts(values)
        self.total = found if self.total is None else self.total + found

    def _counts(self) -> Counts:
        if self.total is None:
            raise ValueError("it has no pixels")
        return self.total


@dataclass
class Otsu(Counted):
    """Otsu's level of the luminance."""

    def add(self, array: Image) -> None:
        """Look at one region."""
        self._count(grey(array))

    def found(self) -> float:
        """The level, in the image's own."""
        return shapes.otsu_of(self._counts())


@dataclass
class Percentiles(Counted):
    """Two percentiles of all colours together."""

    low: float
    high: float

    def add(self, array: Image) -> None:
        """Look at one region."""
        self._count(colours(array))

    def found(self) -> tuple[float, float]:
        """Both, in the image's own levels."""
        return tones.ranked(self._counts(), self.low, self.high)


@dataclass
class Shares(Counted):
    """For each level, the part of the pixels whose value is not above it."""

    def add(self, array: Image) -> None:
        """Look at one region."""
        self._count(tones.strongest(array))

    def found(self) -> npt.NDArray[np.float32]:
        """One number a level."""
        return tones.shares(self._counts())
