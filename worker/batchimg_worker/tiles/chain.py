"""The steps of a variant, region by region: a region of the result is made of a region of the step before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from batchimg_worker.errors import OperationFailed, TilingRefused
from batchimg_worker.operations import OPERATIONS, Block, Operation, Region, Shape, Tiling, foreign
from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.operations.kernels.blocks import cut
from batchimg_worker.operations.regions import whole
from batchimg_worker.operations.tiling import Parameters, refusal
from batchimg_worker.recipe import Step
from batchimg_worker.tiles.store import TYPES, Source
from batchimg_worker.told import told

TEMPORARY_FACTOR = 12
"""Kernels work in float32 and in strips: beside a block they hold at most so many times its bytes."""

WORKERS = 2
"""Regions that are computed side by side; kernels and codecs release the GIL."""

T = TypeVar("T")
R = TypeVar("R")

HINT = "Change the step, or take the image out of the dataset."
REFUSED_HINT = "Change the step, or make the image smaller in a run of its own."


@dataclass(frozen=True)
class Stage:
    """One step of a variant on an image of known size: what it needs and what it gives, without pixels."""

    variant: str
    operation: Operation
    tiling: Tiling
    parameters: Parameters
    before: Shape
    before_bytes: int
    after: Shape
    after_bytes: int

    @property
    def place(self) -> str:
        """For messages."""
        return f"variant {self.variant}: {self.operation.name}"

    def needs(self, wanted: Region) -> Region:
        """The region of the input that makes one of the result."""
        return self.tiling.needs(wanted, self.before, self.parameters).within(self.before)

    def held(self, wanted: Region) -> tuple[int, Region]:
        """The memory of making a region, and what it is made of."""
        needed = self.needs(wanted)
        taken = needed.height * needed.width * self.before[2] * self.before_bytes
        given = max(wanted.height * wanted.width, needed.height * needed.width if self.tiling.apply is None else 0)
        shape = (needed.height, needed.width, self.before[2])
        own = self.operation.temporary_bytes(shape, self.before_bytes, self.parameters)
        usual = min(TEMPORARY_BYTES, TEMPORARY_FACTOR * taken)
        return taken + 2 * given * self.after[2] * self.after_bytes + max(own, usual), needed


def stages_of(variant: str, steps: Sequence[Step], shape: Shape, value_bytes: int) -> tuple[Stage, ...]:
    """The steps of a variant. Raises TilingRefused for one that cannot be done in regions."""
    stages: list[Stage] = []
    for number, step in enumerate(steps, start=1):
        operation = OPERATIONS.get(step.operation)
        reason = refusal(step.operation, step.parameters, value_bytes)
        if reason or operation.tiling is None:
            raise TilingRefused(
                f"variant {variant}, step {number}: {step.operation} cannot be tiled: {reason}", REFUSED_HINT
            )
        try:
            after = operation.output_shape(shape, step.parameters)
        except ValueError as error:
            raise OperationFailed(f"variant {variant}: {step.operation}: {error}", HINT) from None
        settle = operation.tiling.settle
        parameters = step.parameters if settle is None else settle(shape, step.parameters)
        after_bytes = operation.output_value_bytes(value_bytes, step.parameters)
        stages.append(Stage(variant, operation, operation.tiling, parameters, shape, value_bytes, after, after_bytes))
        shape, value_bytes = after, after_bytes
    return tuple(stages)


def held(stages: Sequence[Stage], wanted: Region) -> tuple[int, Region]:
    """The memory that a region of the last stage takes, and the region of the original that it is made of."""
    most = 0
    for stage in reversed(stages):
        size, wanted = stage.held(wanted)
        most = max(most, size)
    return most, wanted


class Stepped:
    """The result of a stage, computed where it is read. ``found`` is that of its first pass."""

    def __init__(self, source: Source, stage: Stage, found: Any = None) -> None:
        self._source, self._stage, self._found = source, stage, found
        self.shape, self.dtype = stage.after, np.dtype(TYPES[stage.after_bytes])

    def read(self, region: Region) -> Image:
        """The pixels of a region that lies inside. Raises OperationFailed."""
        stage = self._stage
        needed = stage.needs(region)
        block = Block(self._source.read(needed), needed, stage.before, region, self._found)
        with told(stage.place):
            if stage.tiling.apply is not None:
                return stage.tiling.apply(block, stage.parameters)
            result = foreign.run(stage.operation, block.array, stage.parameters)
            if result.shape[:2] != block.array.shape[:2] or result.dtype != self.dtype:
                raise ValueError(f"in tiles it has to keep the size of a region and return {self.dtype}")
            return cut(result, block)


def chained(source: Source, stages: Iterable[Stage], block: tuple[int, int], pool: ThreadPoolExecutor) -> Source:
    """All stages on a source. First passes are made here, in blocks of this height and width."""
    for stage in stages:
        survey = stage.tiling.survey and stage.tiling.survey(stage.parameters)
        found = None
        if survey:
            for array in in_order(pool, source.read, blocks_of(whole(source.shape), block)):
                survey.add(array)
            with told(stage.place):
                found = survey.found()
        source = Stepped(source, stage, found)
    return source


def in_order(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of the items, only a few of them ahead of whoever takes them."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(waiting) >= WORKERS:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def blocks_of(region: Region, size: tuple[int, int]) -> list[Region]:
    """A region cut into blocks of at most this height and width."""
    return [
        Region(top, min(top + size[0], region.bottom), left, min(left + size[1], region.right))
        for top in range(region.top, region.bottom, size[0])
        for left in range(region.left, region.right, size[1])
    ]
