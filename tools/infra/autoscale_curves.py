"""Run the pool's autoscale formula over load curves, with the emulator's evaluator, and draw what it decides.

`make graphs` writes docs/pictures/autoscale.svg; tests/infra asserts what the page says of it.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batch_emulator.autoscale.evaluator import Surroundings, Targets, evaluate, read
from batch_emulator.autoscale.samples import PERIOD_SECONDS, History, Sample
from batch_emulator.clock import TICKS_PER_SECOND

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "pulumi"))

from autoscale import formula  # noqa: E402 - it lies in the program's folder

SLOTS, MAX_SPOT, MAX_DEDICATED = 4, 8, 3
TASK_SECONDS = 300
START_SECONDS = 180  # from the decision to a node that takes tasks
EVALUATION_SECONDS = 300
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a simulated pool; all but the time are counts."""

    minute: float
    pending: float
    spot: int
    dedicated: int
    targets: Targets


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks that come at a minute, and how many Spot nodes Azure has at a minute."""

    arriving: Callable[[float], float]
    available: Callable[[float], int] = lambda _: 1000
    minutes: int = 240


def _burst(minute: float) -> float:
    return 160 if minute == 20 else 0


def _trickle(minute: float) -> float:
    return 1 if minute % 10 == 0 and minute <= 180 else 0


LOADS: Mapping[str, Load] = {
    "burst": Load(_burst),
    "trickle": Load(_trickle),
    "idle": Load(lambda _: 0),
    "Spot drought": Load(_burst, available=lambda _: 0),
    "Spot taken away": Load(_burst, available=lambda minute: 1 if 40 <= minute < 110 else 1000),
}


@dataclass(slots=True)
class _Fleet:
    """Nodes of one kind, and the minutes at which those that were asked for arrive."""

    there: int = 0
    coming: list[float] = field(default_factory=list)
    too_many_since: float | None = None

    def steer(self, target: int, now: float, available: int) -> None:
        while self.there + len(self.coming) < min(target, available):
            self.coming.append(now + START_SECONDS)
        while self.coming and self.there + len(self.coming) > target:
            self.coming.pop()

    def step(self, now: float, busy: float, target: int, available: int) -> int:
        """Nodes arrive, are taken away, or leave when their last tasks are done; how many were taken away."""
        self.there += sum(1 for due in self.coming if due <= now)
        self.coming = [due for due in self.coming if due > now]
        lost = max(0, self.there - available)
        self.there -= lost
        self._leave(now, busy, target)
        return lost

    def _leave(self, now: float, busy: float, target: int) -> None:
        if self.there <= target:
            self.too_many_since = None
            return
        since = self.too_many_since = now if self.too_many_since is None else self.too_many_since
        if now - since >= TASK_SECONDS:
            self.there, self.too_many_since = target, None
        else:
            self.there = max(target, min(self.there, math.ceil(busy / SLOTS)))


def simulate(load: Load, max_spot: int = MAX_SPOT, max_dedicated: int = MAX_DEDICATED) -> Iterator[Moment]:
    """A pool that the formula scales, in steps of the service's samples."""
    statements = read(formula(SLOTS, max_spot, max_dedicated))
    history, targets = History(), Targets(0, 0)
    spot, dedicated, pending, preempted = _Fleet(), _Fleet(), 0.0, 0
    for step in range(load.minutes * MINUTE // PERIOD_SECONDS):
        now = step * PERIOD_SECONDS
        minute = now / MINUTE
        pending += load.arriving(minute)
        available = load.available(minute)
        if now % EVALUATION_SECONDS == 0:
            around = Surroundings(now * TICKS_PER_SECOND, targets, history, SLOTS, lambda: 0.5)
            outcome = evaluate(statements, around)
            if outcome.error is not None:
                raise ValueError(f"{outcome.error} at minute {minute:g}")
            targets = outcome.targets
        spot.steer(targets.low_priority, now, available)
        dedicated.steer(targets.dedicated, now, 1000)
        running = min(pending, (spot.there + dedicated.there) * SLOTS)
        pending = max(0.0, pending - running * PERIOD_SECONDS / TASK_SECONDS)
        pending = 0.0 if pending < 0.5 else pending
        dedicated.step(now, min(running, dedicated.there * SLOTS), targets.dedicated, 1000)
        lost = spot.step(now, min(running, spot.there * SLOTS), targets.low_priority, available)
        preempted = min(max(preempted + lost, 0), max(0, targets.low_priority - spot.there)) if available < 1000 else 0
        history.add(
            _sample(now, (math.ceil(pending), math.ceil(running)), (spot.there + preempted, dedicated.there, preempted))
        )
        yield Moment(minute, pending, spot.there, dedicated.there, targets)


def _sample(now: int, tasks: tuple[float, float], nodes: tuple[int, int, int]) -> Sample:
    (pending, running), (spot, dedicated, preempted) = tasks, nodes
    usable = spot - preempted + dedicated
    values = (None, usable, pending - running, running, pending, 0, 0, dedicated, spot, preempted, usable)
    return Sample(now * TICKS_PER_SECOND, tuple(None if one is None else float(one) for one in values))


WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 90, 130, 24, 46
COLORS = {"pending": "#9aa5b1", "spot": "#2f9e44", "dedicated": "#d9480f"}


def picture() -> str:
    """All curves, one below the other, as SVG."""
    height = TOP + len(LOADS) * (HEIGHT + GAP)
    size = f'viewBox="0 0 {LEFT + WIDTH + 20} {height}" font-family="sans-serif" font-size="12"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', '<rect width="100%" height="100%" fill="white"/>']
    for number, (name, load) in enumerate(LOADS.items()):
        parts.append(_panel(name, list(simulate(load)), TOP + number * (HEIGHT + GAP)))
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, moments: list[Moment], top: int) -> str:
    bottom = top + HEIGHT
    most = max(1.0, *(moment.pending for moment in moments))
    nodes = MAX_SPOT + MAX_DEDICATED
    lines = {
        "pending": [moment.pending / most for moment in moments],
        "spot": [moment.spot / nodes for moment in moments],
        "dedicated": [moment.dedicated / nodes for moment in moments],
    }
    words = {
        "pending": f"tasks, up to {most:.0f}",
        "spot": f"Spot nodes, up to {max(moment.spot for moment in moments)}",
        "dedicated": f"dedicated nodes, up to {max(moment.dedicated for moment in moments)}",
    }
    out = [
        f'<text x="8" y="{top + 12}" font-weight="bold">{name}</text>',
        *(
            f'<text x="8" y="{top + 30 + 15 * place}" fill="{COLORS[kind]}" font-size="10">{word}</text>'
            for place, (kind, word) in enumerate(words.items())
        ),
        f'<path d="M{LEFT} {top}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#333"/>',
    ]
    out += [
        f'<text x="{LEFT + WIDTH * hour / 4:.0f}" y="{bottom + 14}" text-anchor="middle" font-size="10">{hour} h</text>'
        for hour in range(5)
    ]
    for kind, values in lines.items():
        points = " ".join(
            f"{LEFT + WIDTH * place / len(values):.1f},{bottom - HEIGHT * value:.1f}"
            for place, value in enumerate(values)
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[kind]}" stroke-width="1.5"/>')
    return "\n".join(out)


if __name__ == "__main__":
    (ROOT / "docs" / "pictures" / "autoscale.svg").write_text(picture())
