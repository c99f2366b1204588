"""The worked examples of docs/cost.md, counted by the code that `batchimg submit --plan` counts with."""

import re
from dataclasses import dataclass

from batchimg.chunk import split, work_seconds
from batchimg.estimate import Estimate, Fleet, Workload, estimate
from batchimg.prices import DEFAULT_SIZE, load_prices
from batchimg.span import Span
from batchimg.speed import Speed, given
from batchimg.words import duration, money, size

BLOCK = re.compile(r"(?<=<!-- examples -->\n).*?(?=<!-- end of examples -->)", re.DOTALL)
SPOT_NODES, DEDICATED_NODES, SLOTS = 4, 1, 4  # what `pulumi/` makes where nothing else is said


@dataclass(frozen=True)
class Example:
    """Images of ``size`` bytes each, done in ``seconds`` of one core each, with results of ``out`` bytes together."""

    title: str
    images: int
    size: int
    seconds: float
    pictures: int
    out: int


EXAMPLES = (
    Example("one TIFF of 32 GB, one picture of the same size", 1, 32 * 10**9, 600.0, 1, 32 * 10**9),
    Example("a million images of 20 kB, a thumbnail each", 10**6, 20_000, 0.014, 1, 5_000),
    Example("a million images of 20 kB, the built-in recipe of five pictures", 10**6, 20_000, 0.014, 5, 100_000),
)


def estimated(example: Example) -> Estimate:
    from array import array

    sizes = array("Q", [example.size] * example.images)
    total = example.size * example.images
    known = given(example.seconds, total, example.images, example.pictures)
    speed = Speed(known.factor, example.out / example.size, example.pictures, known.source)
    chunks = split(sizes, None, speed.factor.expected)
    longest = max(work_seconds(example.size * len(chunk), len(chunk)) for chunk in chunks)
    table = load_prices()
    vm = table.vm(DEFAULT_SIZE)
    assert vm is not None
    fleet = Fleet(vm, SLOTS, SPOT_NODES, DEDICATED_NODES)
    return estimate(Workload(example.images, total, len(chunks), longest), speed, fleet, table.storage)


def with_examples(page: str) -> str:
    """The page with its block of examples counted anew."""
    head = [
        "| | " + " | ".join(example.title for example in EXAMPLES) + " |",
        "|---|" + "---|" * len(EXAMPLES),
    ]
    found = [estimated(example) for example in EXAMPLES]
    rows: tuple[tuple[str, list[str]], ...] = (
        ("a core needs", [f"{example.seconds:g} s an image" for example in EXAMPLES]),
        ("tasks, nodes", [f"{one.work.chunks}, {one.nodes}" for one in found]),
        ("time, node start included", [_span(one.wall_seconds, duration) for one in found]),
        ("VM, from Spot to dedicated", [_span(one.vm, money) for one in found]),
        ("transactions", [f"{money(one.transactions)} ({one.writes:,} writes)" for one in found]),
        (
            "storage, the first month",
            [f"{money(one.storage)} ({size(one.work.size + one.bytes_out)})" for one in found],
        ),
        ("**price**", [f"**{_span(one.total, money)}**" for one in found]),
        ("without storage", [_span(one.total + Span.exactly(-one.storage), money) for one in found]),
        ("the same a thousand images", [_thousand(one) for one in found]),
    )
    lines = [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return BLOCK.sub(lambda _: "\n".join([*head, *lines]) + "\n", page)


def _thousand(one: Estimate) -> str:
    return "" if one.work.images == 1 else money(one.total.expected * 1000 / one.work.images)


def _span(span: Span, shown) -> str:  # noqa: ANN001 - a function of `words`
    return f"{shown(span.expected)} ({shown(span.low)} to {shown(span.high)})"
