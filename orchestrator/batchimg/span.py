"""A number that is not known exactly: what it is at least, what is expected, what it is at most."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Span:
    """``low`` <= ``expected`` <= ``high``."""

    low: float
    expected: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Self:
        """A number without doubt."""
        return cls(value, value, value)

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> "Span":
        """Each of the three, multiplied."""
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def at(self, low: float, expected: float, high: float) -> "Span":
        """Each of the three at a price of its own."""
        return Span(self.low * low, self.expected * expected, self.high * high)
