"""Canary: a few images, spread over a large dataset, that are done before the rest.

It is a run of its own in the same line: what it has done is not done again. It shows on the nodes how long an image
takes and how much memory, so that the rest can be cut into tasks of 2 to 10 minutes; and where too many of its images
fail, nothing else is submitted.
"""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

from batchimg.chunk import TARGET_SECONDS, work_seconds
from batchimg.collect import records
from batchimg.connect import Services
from batchimg.dataset import Dataset
from batchimg.errors import RunFailed
from batchimg.estimate import Fleet
from batchimg.events import Observer, Progressed, Told
from batchimg.failure_limit import FailureLimit
from batchimg.lineage import Lineage
from batchimg.measured import measured
from batchimg.plan import Plan, is_canary
from batchimg.settings import Settings
from batchimg.speed import Speed
from batchimg.spread import spread
from batchimg.still import with_reasons
from batchimg.watch import follow
from batchimg.words import count
from batchimg_worker.contract import RunSpec

LARGE_TASKS = 64  # of a plan that was cut by size: some hours of one core
CHUNKS = 4
MOST_IMAGES = 100
FEWEST_IMAGES = 8
PART = 10  # of which one is a canary at most
WORK_SECONDS = CHUNKS * TARGET_SECONDS / 2  # of all of its images together, by their sizes
DEFAULT_LIMIT = "20%"
ROOM = 0.9  # of a node's memory, that tasks may take together
GIB = 1 << 30


def images_for(settings: Settings, plan: Plan) -> int:
    """How many images of a plan are to go before the rest; 0 for none."""
    total = len(plan.dataset)
    if settings.canary == "never":
        return 0
    if settings.canary != "auto":
        return settings.canary if settings.canary < total else 0
    by_size = settings.chunk_images is None and len(plan.chunks) >= LARGE_TASKS
    if total < settings.canary_from and not by_size:
        return 0
    mean = work_seconds(plan.dataset.bytes, total) / total
    wanted = min(MOST_IMAGES, total // PART, int(WORK_SECONDS / mean))
    return min(max(wanted, FEWEST_IMAGES), total // 2)


def canary_plan(plan: Plan, images: int) -> Plan:
    """The part of a plan that goes before the rest; the same each time."""
    chosen = plan.dataset.only(list(spread(len(plan.dataset), images)))
    dataset = replace(chosen, rejected=())
    chunks = min(CHUNKS, images)
    bounds = [number * images // chunks for number in range(chunks + 1)]
    return replace(plan, dataset=dataset, chunks=[range(*pair) for pair in pairwise(bounds)])


def of_line(family: Lineage, plan: Plan) -> RunSpec | None:
    """The latest canary of a line that was done under a plan's limits; None where there is none."""
    return next((spec for spec in family if is_canary(spec.run) and spec.limits == plan.limits), None)


def factor_of(services: Services, family: Lineage) -> float | None:
    """How long images take beside what their sizes let expect, by a line's latest canary; None if unknown."""
    canary = next((spec for spec in family if is_canary(spec.run)), None)
    speed = measured(services, canary) if canary is not None else None
    return speed.factor.expected if speed is not None else None


def wait(services: Services, spec: RunSpec, observer: Observer) -> None:
    """Follow a canary to its end. Raises RunFailed where images were not reached: it was cancelled, tasks failed."""
    observer(
        Told(
            f"Canary {spec.run}: {count(spec.images, 'image')} before the rest. Ctrl-C leaves it running; the same "
            "command goes on after it."
        )
    )
    said = None
    for now in with_reasons(services, spec, follow(services, spec)):
        observer(Progressed("canary", now.done + now.failed, now.images))
        if now.note is not None and now.note != said:
            said = now.note
            observer(Told(said))
        if now.is_over and now.lost:
            raise RunFailed(
                f"canary {spec.run} is {now.state}, and {now.lost} of its {now.images} images were not reached: "
                "nothing else was submitted",
                f"`batchimg why {spec.run}` says why; the same command tries it again.",
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a canary showed: of ``images`` that are as they were, ``failed`` by their cause."""

    images: int
    failed: Counter[str]
    example: str


def verdict(services: Services, spec: RunSpec, dataset: Dataset) -> Verdict:
    """Count a canary's failures; an image that has changed since, or has gone, does not count."""
    from batchimg.ledger import cause_of  # late: it loads pyarrow, and most submits need none

    over: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for record in records(services, spec):
        index = dataset.index(record.path)
        if index is None or not dataset.is_same(index, record.size, record.md5, record.etag):
            continue
        over[record.status] += 1
        if record.status != "done":
            cause = f"{record.error_type}: {cause_of(record.message or '', record.path)}"
            failed[cause] += 1
            examples.setdefault(cause, record.path)
    first = failed.most_common(1)
    return Verdict(over.total(), failed, examples[first[0][0]] if first else "")


def still_speaks(services: Services, spec: RunSpec, dataset: Dataset) -> bool:
    """Whether at least half of a canary's images are as they were."""
    return 2 * verdict(services, spec, dataset).images >= spec.images


def check(services: Services, spec: RunSpec, dataset: Dataset) -> None:
    """Raise RunFailed where too many images of a canary that is over failed."""
    limit = FailureLimit.parse(services.settings.max_failures or DEFAULT_LIMIT)
    seen = verdict(services, spec, dataset)
    number = seen.failed.total()
    if not limit.is_passed(number, seen.images, final=True):
        return
    (cause, most), *_ = seen.failed.most_common(1)
    raise RunFailed(
        f"{number} of {seen.images} images of canary {spec.run} failed, {most} of them with {cause} "
        f"({seen.example}, say); the limit is {limit}, and nothing else was submitted",
        f"`batchimg failures {spec.run}` lists them. Mend the images or the recipe and type the same again; "
        "--max-failures takes a higher limit, --canary never goes on without looking.",
    )


def memory_advice(speed: Speed, fleet: Fleet, memory_mb: int) -> str | None:
    """What to do where as many tasks as a node has slots would not fit into its memory; None where they do."""
    gib = fleet.vm.memory_gib
    if gib is None or fleet.is_local or not speed.peak:
        return None
    room = gib * GIB * ROOM
    if speed.peak * fleet.slots <= room:
        return None
    fit = max(int(room // speed.peak), 1)
    return (
        f"A task of the canary took {speed.peak / GIB:.1f} GiB: {fleet.slots} at a time need more than the "
        f"{gib:g} GiB of {fleet.vm.size}. Give the pool {fit} slots a node or a size with more memory, or lower "
        f"memory_mb ({memory_mb})."
    )
