"""Estimate: how long a plan takes and what it costs, from a speed, a fleet and prices; values in, values out."""

import math
from dataclasses import dataclass

from batchimg.chunk import work_seconds
from batchimg.plan import Plan
from batchimg.prices import StoragePrices, VmPrice
from batchimg.span import Span
from batchimg.speed import Speed

START_SECONDS = Span(
    120.0, 420.0, 900.0
)  # from a task that waits to a node that takes it; autoscale looks in 5 minutes
TAIL_SECONDS = 600.0  # a node goes so long after its last task: the pool shrinks with the mean of ten minutes
SLOT_SHARE = 0.88  # what two slots do at once of twice what one does: docs/benchmarks.md
TASK_SECONDS = 3.0  # of each task that is not work: to schedule it, to load libraries
READS_A_TASK, WRITES_A_TASK = 8, 6  # of blob storage, beside images and heartbeats
BEAT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nodes that a run may have: at most ``spot`` and ``dedicated`` ones, with ``slots`` tasks at a time each.

    ``assumed``: nobody could be asked. ``is_local``: in truth the run is on this machine, and costs nothing.
    """

    vm: VmPrice
    slots: int
    spot: int
    dedicated: int
    assumed: bool = False
    is_local: bool = False

    @property
    def hour(self) -> float:
        """What a node costs an hour, of the kind that the pool prefers."""
        return self.vm.spot if self.spot else self.vm.dedicated

    @property
    def most_an_hour(self) -> float:
        """What an hour costs if every node is there."""
        return self.spot * self.vm.spot + self.dedicated * self.vm.dedicated

    def nodes(self, chunks: int) -> int:
        """How many nodes so many tasks get."""
        return max(1, min(self.spot or self.dedicated, math.ceil(chunks / self.slots)))


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be done, as numbers. ``longest`` is the most work of one chunk, in seconds as `chunk` assumes them."""

    images: int
    size: int
    chunks: int
    longest: float

    @staticmethod
    def of(plan: Plan) -> "Workload":
        """The numbers of a plan."""
        sizes = plan.dataset.sizes[:]
        bands = [work_seconds(sizes[one.index]) / one.bands for one in plan.split]
        for one in plan.split:
            sizes[one.index] = 0
        whole = (work_seconds(sum(sizes[chunk.start : chunk.stop]), len(chunk)) for chunk in plan.chunks)
        return Workload(len(plan.dataset), plan.dataset.bytes, plan.tasks, max([*bands, *whole], default=0.0))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan takes: seconds, and USD. ``storage`` is a month of originals and results, the others are paid once.

    ``enough`` is a maximum under which the run's wall clock does not end it early; ``canary`` images go before.
    """

    work: Workload
    speed: Speed
    fleet: Fleet
    nodes: int
    seconds_an_image: Span
    wall_seconds: Span
    node_hours: Span
    bytes_out: int
    writes: int
    reads: int
    vm: Span
    transactions: float
    storage: float
    enough: float
    canary: int = 0

    @property
    def total(self) -> Span:
        """The price: at Spot's, as it is expected, at that of dedicated nodes."""
        return self.vm + Span.exactly(self.transactions + self.storage)


def estimate(work: Workload, speed: Speed, fleet: Fleet, storage: StoragePrices) -> Estimate:
    """What a run takes on a fleet."""
    nodes = fleet.nodes(work.chunks)
    seconds = speed.seconds(work.size, work.images)
    busy = (seconds + Span.exactly(work.chunks * TASK_SECONDS)).times(1 / (nodes * fleet.slots * SLOT_SHARE))
    longest = speed.factor.times(work.longest / SLOT_SHARE) + Span.exactly(TASK_SECONDS)
    running = Span(max(busy.low, longest.low), max(busy.expected, longest.expected), max(busy.high, longest.high))
    wall = running + START_SECONDS
    hours = (wall + Span.exactly(TAIL_SECONDS)).times(nodes / 3600)
    bytes_out = round(speed.bytes_out * work.size)
    beats = (seconds.expected + work.chunks * TASK_SECONDS) / BEAT_SECONDS
    writes = round(work.images * (1 + speed.pictures) + work.chunks * WRITES_A_TASK + 2 * beats)
    reads = round(work.images + work.chunks * READS_A_TASK)
    transactions = storage.operations(writes, reads)
    month = (work.size + bytes_out) / 1e9 * storage.gb_month
    at_once = fleet.most_an_hour * (wall.expected + TAIL_SECONDS) / 3600
    return Estimate(
        work=work,
        speed=speed,
        fleet=fleet,
        nodes=nodes,
        seconds_an_image=seconds.times(1 / max(work.images, 1)),
        wall_seconds=wall,
        node_hours=hours,
        bytes_out=bytes_out,
        writes=writes,
        reads=reads,
        vm=hours.at(fleet.hour, fleet.hour, fleet.vm.dedicated),
        transactions=transactions,
        storage=month,
        enough=math.ceil((max(at_once, hours.expected * fleet.hour) + transactions + month) * 100 + 1) / 100,
    )


def hours_within(most: float, estimated: Estimate, spent: float = 0.0) -> float:
    """How long a job may last so that all of the pool's nodes together cannot cost more than ``most`` USD.

    ``spent`` is what was paid before. The nodes' last minutes after its end, transactions and storage are part of it.
    """
    left = most - spent - estimated.transactions - estimated.storage
    return left / max(estimated.fleet.most_an_hour, 1e-9) - TAIL_SECONDS / 3600
