"""How many failures a run may have: `--max-failures`, a share of the images or a number of them."""

import re
from dataclasses import dataclass
from typing import Self

FEWEST = 100  # images that are over, before a share of them says something


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """At most a ``share`` (0 to 1) of the images that are over, or a ``number`` of images; one of them is set."""

    share: float | None = None
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `5%` or `100`. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%|(\d+)", text.strip())
        if match is None or (match[1] and float(match[1]) > 100):
            raise ValueError("use a share such as 5%, or a number of images")
        return cls(share=float(match[1]) / 100) if match[1] else cls(number=int(match[2]))

    def is_passed(self, failed: int, over: int, *, final: bool = False) -> bool:
        """Whether ``failed`` of ``over`` images are too many; a share needs 100 of them, or all (``final``)."""
        if self.number is not None:
            return failed > self.number
        enough = final or over >= FEWEST
        return enough and over > 0 and failed / over > (self.share or 0.0)

    def __str__(self) -> str:
        return f"{self.number:,}" if self.number is not None else f"{(self.share or 0.0) * 100:g} %"
