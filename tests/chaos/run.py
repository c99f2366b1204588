"""`make chaos`: seeded runs one after another, a table by kind of fault, and JSON with every run."""

import argparse
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.faults import ACTS
from chaos.invariants import breaches
from chaos.plan import Plan, plan_of
from chaos.play import Calm, Play, calm_run
from chaos.report import table
from chaos.world import World, a_world

DEFAULT_RUNS = 200


@dataclass(frozen=True)
class Ended:
    """What became of one seeded run. ``strikes`` counts how often its fault struck."""

    seed: int
    kind: str
    strikes: int
    seconds: float
    commands: int
    breaches: tuple[str, ...]


def play_out(world: World, calm: Calm, plan: Plan) -> tuple[Ended, Play]:
    """Play a plan to its end, and see what holds."""
    began, before = time.monotonic(), world.strikes
    play = Play(world, plan, calm)
    try:
        ACTS[plan.kind](play)
        play.finish()
        found = breaches(play.evidence())
        if not found:
            play.clear()
    except Exception as error:  # noqa: BLE001 - whatever it is: this run did not hold, the others go on
        found = [f"the run could not be played: {type(error).__name__}: {error}", traceback.format_exc()]
    seconds = round(time.monotonic() - began, 1)
    return Ended(plan.seed, plan.kind, world.strikes - before, seconds, len(play.said), tuple(found)), play


def run(seeds: Sequence[int], folder: Path, to: Path | None, *, keep_going: bool) -> list[Ended]:
    """Play all seeds; a world in which something was broken is left, and the next run gets a new one.

    ``to`` is a file for the runs so far, as JSON.
    """
    done: list[Ended] = []
    left = list(seeds)
    number = 0
    while left:
        number += 1
        with a_world(folder / f"world-{number}") as world:
            calm = calm_run(world)
            while left:
                plan = plan_of(left.pop(0))
                ended, play = play_out(world, calm, plan)
                done.append(ended)
                _tell(ended, plan, play)
                if to is not None:
                    to.write_text(json.dumps([asdict(one) for one in done], indent=1) + "\n")
                if ended.breaches:
                    break
        if done[-1].breaches and not keep_going:
            break
    return done


def _tell(ended: Ended, plan: Plan, play: Play) -> None:
    mark = "ok" if not ended.breaches else "BROKEN"
    sys.stdout.write(f"{ended.seed:4d} {mark:6s} {ended.seconds:5.1f} s {ended.strikes:3d}x {ended.kind}\n")
    if ended.breaches:
        sys.stdout.write(f"     {plan.text()}\n")
        sys.stdout.writelines(f"     {breach}\n" for breach in ended.breaches)
        for said in play.said:
            sys.stdout.write(f"     $ batchimg {' '.join(said.arguments)}: exit {said.code}\n")
            sys.stdout.writelines(f"       {line}\n" for line in said.errors.splitlines()[-12:])
    sys.stdout.flush()


def kinds() -> Sequence[str]:
    """The kinds of fault, in the order of the table."""
    return tuple(ACTS)


def main() -> int:
    """Parse, play, write."""
    parser = argparse.ArgumentParser(description="Seeded runs of batchimg while things break.")
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", help="only seeds of kinds with this in their name")
    parser.add_argument("--json", type=Path, help="write every run there")
    parser.add_argument("--stop", action="store_true", help="stop at the first breach")
    chosen = parser.parse_args()
    seeds = [chosen.seed] if chosen.seed is not None else list(range(chosen.first, chosen.first + chosen.runs))
    if chosen.kind:
        seeds = [seed for seed in seeds if chosen.kind in plan_of(seed).kind]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take down what was started
    with tempfile.TemporaryDirectory(prefix="batchimg-chaos-") as folder:
        done = run(seeds, Path(folder), chosen.json, keep_going=not chosen.stop)
    sys.stdout.write("\n" + table(done, kinds()))
    return 1 if any(one.breaches for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
