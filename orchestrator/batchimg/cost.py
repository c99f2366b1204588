"""Cost: what a run has taken and what that is worth, from its results, its heartbeats and the nodes that are there.

All of it lies in blob storage but for when nodes came, went, and of which kind they are: that is known of those that
are still there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from batchimg.connect import Services
from batchimg.errors import ServiceError, SettingsError
from batchimg.estimate import READS_A_TASK, START_SECONDS, TAIL_SECONDS, WRITES_A_TASK, Fleet
from batchimg.fleet import fleet_of
from batchimg.lineage import lineage
from batchimg.plan import is_canary
from batchimg.prices import load_prices
from batchimg.seen import NodeAge
from batchimg.span import Span
from batchimg.watch import beats_of
from batchimg_worker.blob_names import part_path, result_path
from batchimg_worker.contract import Attempt, Heartbeat, ImageResult, PartHeader, ResultHeader, RunSpec
from batchimg_worker.documents import parse, parse_lines, whole_lines
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError

SILENT_SECONDS = 60.0  # without a heartbeat: the task is not there any more


@dataclass(frozen=True, slots=True)
class Turn:
    """A time that a slot of a node was taken by a task. ``wasted`` seconds of it made no record that counts."""

    node: str
    began: datetime
    ended: datetime
    wasted: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max((self.ended - self.began).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """Node-seconds: a node with all of its slots taken for a second is one. ``seen`` is from first to last task.

    ``spot`` and ``dedicated`` count nodes whose kind is known. ``extra`` are seconds that nodes are known, or for those
    that have gone assumed, to have been there beside.
    """

    nodes: int
    busy: float
    idle: float
    wasted: float
    extra: float
    spot: int
    dedicated: int

    @property
    def seen(self) -> float:
        """From each node's first task to its last."""
        return self.busy + self.idle + self.wasted


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run and its canary have cost, in USD. ``unknown`` says what nobody can know any more.

    ``is_local``: it was done on this machine for nothing, and the price is what it would have been in Azure.
    """

    run: str
    runs: tuple[str, ...]
    images: int
    done: int
    fleet: Fleet
    usage: Usage
    vm: Span
    transactions: float
    storage_month: float
    is_local: bool
    unknown: tuple[str, ...] = field(default=())

    @property
    def price(self) -> Span:
        """What was paid once: nodes and transactions."""
        return self.vm + Span.exactly(self.transactions)

    @property
    def per_thousand(self) -> Span | None:
        """The price a thousand images that are done; None where none is."""
        return self.price.times(1000 / self.done) if self.done else None


def run_cost(services: Services, spec: RunSpec) -> RunCost:
    """What a run has cost so far, its canary included. Raises SettingsError where the node's price is not known."""
    table = load_prices(services.settings.prices)
    fleet = fleet_of(services.settings, table, services)
    if isinstance(fleet, str):
        raise SettingsError(f"there is no price: {fleet}", "Set vm_price, or give another --vm-size.")
    parents = lineage(services, spec)[1:2]
    specs = (spec, *(one for one in parents if is_canary(one.run)))
    beats = {one.run: beats_of(services, one.run) for one in specs}
    all_beats = [beat for found in beats.values() for beat in found]
    usage, unreachable = _usage(services, beats, fleet)
    size_in = sum(beat.bytes_in for beat in all_beats)
    size_out = sum(beat.bytes_out for beat in all_beats)
    over = sum(beat.done + beat.failed for beat in all_beats)
    pictures = sum(beat.done for beat in all_beats) * len(spec.recipe.variants)
    writes = over + pictures + len(all_beats) * WRITES_A_TASK
    return RunCost(
        run=spec.run,
        runs=tuple(one.run for one in specs),
        images=sum(one.images for one in specs),
        done=sum(beat.done for beat in all_beats),
        fleet=fleet,
        usage=usage,
        vm=priced(usage, fleet),
        transactions=table.storage.operations(writes, over + len(all_beats) * READS_A_TASK),
        storage_month=(size_in + size_out) / 1e9 * table.storage.gb_month,
        is_local=fleet.is_local,
        unknown=tuple(_unknown(usage, fleet, unreachable)),
    )


def spent_on(services: Services, runs: Sequence[str]) -> float:
    """What the nodes of some runs are expected to have cost so far, in USD; 0 where the price is not known."""
    fleet = fleet_of(services.settings, load_prices(services.settings.prices), services)
    beats = {run: found for run in runs if (found := beats_of(services, run))}
    if isinstance(fleet, str) or not beats:
        return 0.0
    return priced(_usage(services, beats, fleet)[0], fleet).expected


def _usage(services: Services, beats: Mapping[str, Sequence[Heartbeat]], fleet: Fleet) -> tuple[Usage, bool]:
    """What runs took, by their heartbeats; and whether Batch did not answer when it was asked for the nodes."""
    turns = [turn for run, found in beats.items() for turn in _turns(services, run, found)]
    ages, unreachable = ({}, False) if fleet.is_local else _ages(services)
    return used(turns, fleet, ages), unreachable


def used(turns: Sequence[Turn], fleet: Fleet, ages: Mapping[str, NodeAge]) -> Usage:
    """Node-seconds of a run. On the laptop its slots are put onto nodes of the fleet's size, full ones."""
    busy = sum(turn.seconds - turn.wasted for turn in turns) / fleet.slots
    wasted = sum(turn.wasted for turn in turns) / fleet.slots
    nodes = sorted({turn.node for turn in turns})
    if fleet.is_local:
        return Usage(len(nodes), busy, 0.0, wasted, 0.0, 0, 0)
    spans = {node: _span([turn for turn in turns if turn.node == node]) for node in nodes}
    seen = sum((last - first).total_seconds() for first, last in spans.values())
    known = {node: ages[node] for node in nodes if node in ages}
    waited = ((spans[node][0] - age.since).total_seconds() for node, age in known.items() if age.since)
    extra = sum(min(max(seconds, 0.0), START_SECONDS.high) for seconds in waited)
    extra += (len(nodes) - len(known)) * START_SECONDS.expected + len(nodes) * TAIL_SECONDS
    return Usage(
        nodes=len(nodes),
        busy=busy,
        idle=max(seen - busy - wasted, 0.0),
        wasted=wasted,
        extra=extra,
        spot=sum(not age.dedicated for age in known.values()),
        dedicated=sum(age.dedicated for age in known.values()),
    )


def priced(usage: Usage, fleet: Fleet) -> Span:
    """The nodes' price: what was seen at Spot's, all at that of the known or preferred kind, all at the other."""
    low, high = fleet.vm.spot, fleet.vm.dedicated
    known = usage.spot + usage.dedicated
    expected = (usage.spot * low + usage.dedicated * high) / known if known else fleet.hour
    every = usage.seen + usage.extra
    lowest = usage.seen * (high if known == usage.nodes and not usage.spot else min(low, expected))
    return Span(lowest / 3600, every * expected / 3600, every * max(high, expected) / 3600)


def _span(turns: Iterable[Turn]) -> tuple[datetime, datetime]:
    turns = list(turns)
    return min(turn.began for turn in turns), max(turn.ended for turn in turns)


def _turns(services: Services, run: str, beats: Sequence[Heartbeat]) -> list[Turn]:
    """The tasks' times; of a chunk that was begun several times, the earlier attempts too."""
    found: list[Turn] = []
    for beat in beats:
        if (beat.attempt or 1) == 1 and beat.state == "finished":
            found.append(Turn(beat.node, beat.started, beat.updated))
        else:
            found += _attempts(services, run, beat)
    return found


def _attempts(services: Services, run: str, beat: Heartbeat) -> list[Turn]:
    """What each attempt at a chunk took. Of an earlier one nobody has written down the end: at most until the next.

    Where a chunk has no result and does not run any more, what made no record is wasted.
    """
    attempts, work = _records(services, run, beat)
    turns = []
    for one, following in pairwise(attempts):
        lasted = (following.started - one.started).total_seconds()
        turns.append(Turn(one.node, one.started, following.started, max(lasted - work.get(one.number, 0.0), 0.0)))
    lasted = max((beat.updated - beat.started).total_seconds(), 0.0)
    silent = (datetime.now(UTC) - beat.updated).total_seconds() > SILENT_SECONDS
    given_up = beat.state == "stopped" or (beat.state == "running" and silent)
    wasted = max(lasted - work.get(beat.attempt or 1, 0.0), 0.0) if given_up else 0.0
    return [*turns, Turn(beat.node, beat.started, beat.updated, wasted)]


def _records(services: Services, run: str, beat: Heartbeat) -> tuple[tuple[Attempt, ...], dict[int, float]]:
    """The attempts at a chunk, and the seconds of work in each one's records."""
    finished = beat.state == "finished"
    kind: type[ResultHeader | PartHeader] = ResultHeader if finished else PartHeader
    path = result_path if finished else part_path
    where = path(run, beat.chunk)
    try:
        lines = whole_lines(services.runs.read_lines(where))
        attempts = parse(kind, next(lines, b""), where).attempts or ()
        work: dict[int, float] = {}
        for record in parse_lines(ImageResult, lines, where):
            took = record.seconds
            number = record.attempt or 1
            work[number] = work.get(number, 0.0) + took.decode + took.compute + took.encode
    except ContractVersionError:
        raise
    except ContractError:
        return (), {}  # damaged: no work is known of it
    except StorageError as error:
        if error.code != "BlobNotFound":
            raise
        return (), {}
    return attempts, work


def _ages(services: Services) -> tuple[dict[str, NodeAge], bool]:
    """The nodes that are there, by id; and whether Batch did not answer."""
    try:
        return {node.id: node for node in services.batch.look.node_ages(services.settings.pool)}, False
    except ServiceError as error:
        return {}, error.code != "PoolNotFound"


def _unknown(usage: Usage, fleet: Fleet, unreachable: bool) -> Iterator[str]:
    """Sentences about what is assumed."""
    if fleet.is_local or not usage.nodes:
        return
    if unreachable:
        yield "Azure Batch does not answer: nothing is known of nodes but their tasks."
    if fleet.assumed:
        slots = f"{fleet.slots} slots; --vm-size names another size"
        yield f"The pool does not tell its nodes: they are taken to be {fleet.vm.size} with {slots}."
    gone = usage.nodes - usage.spot - usage.dedicated
    if gone:
        yield (
            f"{gone} of {usage.nodes} nodes have gone: whether they were Spot is not known, and their time before the "
            f"first task and after the last is taken to be {START_SECONDS.expected + TAIL_SECONDS:.0f} s each."
        )
    yield "Tasks of other runs on the same nodes count as idle here."
