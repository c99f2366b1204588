"""Speed: how long images take, measured on some of them and held against what their sizes let expect."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batchimg.chunk import work_seconds
from batchimg.span import Span

HERE = Span(0.6, 1.0, 1.8)  # a node's processor beside this machine's, which also does other things
ON_NODES = Span(0.9, 1.0, 1.15)
GUESSED = Span(0.05, 0.3, 2.0)  # of what `chunk` assumes: recipes differ that much
BLOB_SECONDS = 0.001  # of a core, for one operation on blob storage: docs/benchmarks.md
DOUBT_OF_ONE = 0.5  # of a speed that was measured once


@dataclass(frozen=True, slots=True)
class Sample:
    """Some images that were done together: their bytes, and the seconds of one core. ``peak`` is memory in bytes."""

    images: int
    size: int
    seconds: float
    bytes_out: int
    pictures: int
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """``factor`` times `chunk.work_seconds` is what images take on a core of a node; ``source`` says how it is known.

    ``bytes_out`` a byte of an original, ``pictures`` an image. ``peak`` is the most memory that a task took, in bytes.
    ``tried`` images gave ``failed``: failures by their kind.
    """

    factor: Span
    bytes_out: float
    pictures: float
    source: str
    peak: int = 0
    tried: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)

    def seconds(self, size: int, images: int) -> Span:
        """What one core needs for so many images of so many bytes together."""
        return self.factor.times(work_seconds(size, images))


def fitted(samples: Sequence[Sample], doubt: Span, source: str, failed: Counter[str] | None = None) -> Speed | None:
    """The speed that samples show; None where nothing was done.

    The total of an unmeasured rest is estimated by the ratio of seconds to expected work, and its doubt is twice the
    standard error of that ratio, beside the ``doubt`` about the machine.
    """
    done = [one for one in samples if one.images and one.seconds > 0]
    work = [work_seconds(one.size, one.images) for one in done]
    if not done:
        return None
    factor = sum(one.seconds for one in done) / sum(work)
    residuals = [one.seconds - factor * expected for one, expected in zip(done, work, strict=True)]
    error = DOUBT_OF_ONE / 2
    if len(done) > 1:
        spread = math.sqrt(len(done) / (len(done) - 1) * sum(residual**2 for residual in residuals))
        error = spread / sum(one.seconds for one in done)
    images, size = sum(one.images for one in done), sum(one.size for one in done)
    failures = failed or Counter()
    return Speed(
        factor=Span(
            factor * doubt.low * max(1 - 2 * error, 0.2), factor * doubt.expected, factor * doubt.high * (1 + 2 * error)
        ),
        bytes_out=sum(one.bytes_out for one in done) / max(size, 1),
        pictures=sum(one.pictures for one in done) / images,
        source=source,
        peak=max(one.peak for one in done),
        tried=images + failures.total(),
        failed=dict(failures.most_common()),
    )


def guessed(pictures: int, why: str) -> Speed:
    """A speed from nothing but sizes; results are taken to be as large as their originals."""
    return Speed(GUESSED, float(pictures), float(pictures), f"guessed from sizes: {why}")


def given(seconds: float, size: int, images: int, pictures: int) -> Speed:
    """A speed that the user has set, in seconds of one core an image."""
    factor = seconds * images / max(work_seconds(size, images), 1e-9)
    return Speed(Span.exactly(factor), float(pictures), float(pictures), "the setting expected_seconds")
