"""The console: draws events, plans, runs and results. Progress goes to stderr, answers to stdout."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from batchimg import cost_table, tables
from batchimg.events import Event, Progressed, Told
from batchimg.pace import Pace
from batchimg.why_table import why_panel, why_values
from batchimg.words import count, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchimg.configure import Configured
    from batchimg.cost import RunCost
    from batchimg.doctor import Finding
    from batchimg.download import Downloaded
    from batchimg.estimate import Estimate, Fleet
    from batchimg.ledger import Cause
    from batchimg.local.status import StackStatus
    from batchimg.logs import TaskLog
    from batchimg.plan import Plan
    from batchimg.preview import Preview
    from batchimg.prices import PriceTable
    from batchimg.retry import Retry
    from batchimg.submit import Submitted
    from batchimg.watch import RunStatus
    from batchimg.why import Reason
    from batchimg_worker.contract import RunSpec


class Terminal(Console):
    """A console whose reader may go away: `batchimg ops | head` is no failure."""

    def on_broken_pipe(self) -> None:
        """Let the command end as it does for every other early end of its reader."""
        raise BrokenPipeError


class Screen:
    """One command's view of the terminal."""

    def __init__(self) -> None:
        self.out = Terminal(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())
        self.err = Terminal(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        """An answer."""
        self.out.print(text, markup=False)

    def tell(self, text: str) -> None:
        """A remark beside the answer."""
        self.err.print(text, markup=False, style="dim")

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Bars for what `observe` is told; on a terminal alone."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}  {task.fields[more]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.err, transient=True, disable=not self.err.is_terminal) as self._progress:
            yield
        self._progress = None
        self._bars.clear()

    def observe(self, event: Event) -> None:
        """Draw an event; this is the observer that library code is given."""
        if isinstance(event, Told):
            self.tell(event.text)
        elif isinstance(event, Progressed) and self._progress is not None:
            if event.stage not in self._bars:
                self._bars[event.stage] = self._progress.add_task(
                    event.stage, unit=event.unit, more="", total=event.total
                )
            parts = [size(event.bytes)] if event.bytes else []
            parts += [f"{event.skipped:,} there already"] if event.skipped else []
            self._progress.update(
                self._bars[event.stage], completed=event.done, total=event.total, more=", ".join(parts)
            )

    def plan(self, plan: "Plan", as_json: bool, priced: "tuple[Estimate | str, PriceTable] | None" = None) -> None:
        """What a submit would do, and what it would take and cost where that was asked."""
        if as_json:
            self._json(tables.plan_values(plan) | ({"cost": cost_table.estimate_values(*priced)} if priced else {}))
        else:
            self.out.print(tables.plan_table(plan, *(cost_table.estimate_rows(*priced) if priced else ())))
            self.say("Nothing was sent. The same command without --plan starts the run.")

    def submitted(self, submitted: "Submitted", *, quiet: bool, json: bool) -> None:
        """A run that is on its way, and what to type next."""
        spec = submitted.spec
        if submitted.failed_before:
            self.tell(
                f"{count(submitted.failed_before, 'image')} of this dataset failed before, and are left alone: "
                f"batchimg failures {spec.run} tells why, and what to type."
            )
        if quiet:
            return
        if json:
            values = {"run": spec.run, "images": spec.images, "bytes": spec.bytes, "chunks": spec.chunks}
            self._json(values | {"resumed": submitted.resumed, "ended": submitted.ended})
            return
        if submitted.ended and not spec.chunks:
            known = f" Run {spec.parent} and those before have the others." if spec.parent else ""
            self.say(f"Run {spec.run} has no task: {count(spec.rejected, 'image')} cannot be sent.{known}")
        elif submitted.ended and submitted.known:
            unsent = f"; {count(spec.rejected, 'image')} cannot be sent" if spec.rejected else ""
            self.say(f"Nothing is new: run {spec.run} has all {count(submitted.known, 'image')}{unsent}.")
            self.tell(f"  batchimg retry {spec.run}   does again what failed, --all does everything again")
        elif submitted.ended:
            self.say(f"Run {spec.run} of these images, this recipe and this name is done already.")
        else:
            again = " goes on" if submitted.resumed else " is on its way"
            known = f" {count(submitted.known, 'image')} done before in run {spec.parent}." if spec.parent else ""
            self.say(f"Run {spec.run}{again}: {count(spec.images, 'image')} in {count(spec.chunks, 'task')}.{known}")
        self.tell(f"  batchimg status {spec.run} --watch")
        self.tell(f"  batchimg download {spec.run} --to results")
        self.tell(f"  batchimg gallery {spec.run}")

    def status(self, status: "RunStatus", as_json: bool) -> None:
        """How far a run is."""
        if as_json:
            self._json(tables.status_values(status))
        else:
            self.out.print(tables.status_panel(status))

    def cost(self, cost: "RunCost", table: "PriceTable", as_json: bool) -> None:
        """What a run has cost."""
        if as_json:
            self._json(cost_table.cost_values(cost, table))
        else:
            self.out.print(cost_table.cost_table(cost, table))

    def prices(self, table: "PriceTable", fleet: "Fleet | str", as_json: bool) -> None:
        """The price table."""
        if as_json:
            self._json(cost_table.prices_values(table, fleet))
        else:
            for part in cost_table.prices_tables(table, fleet):
                self.out.print(part)

    def why(self, reason: "Reason", as_json: bool) -> None:
        """Why a run is as it is."""
        if as_json:
            self._json(why_values(reason))
        else:
            self.out.print(why_panel(reason))

    def watch(self, statuses: "Iterable[RunStatus]", as_json: bool) -> "RunStatus":
        """Draw statuses as they come, until the run is over; the last one stays. JSON: one line each change."""
        last: RunStatus | None = None
        if as_json or not self.out.is_terminal:
            for status in statuses:
                if as_json and (
                    last is None or (status.done, status.failed, status.state) != (last.done, last.failed, last.state)
                ):
                    self.out.print(json.dumps(tables.status_values(status)), markup=False, soft_wrap=True)
                last = status
        else:
            pace = Pace()
            with Live(console=self.out, auto_refresh=False) as live:
                size_before = self.out.size
                for status in statuses:
                    if self.out.size != size_before:  # the terminal has broken the old lines anew: where, nobody knows
                        self.out.clear()
                        size_before = self.out.size
                    pace.add(time.monotonic(), status.done + status.failed)
                    live.update(tables.status_panel(status, pace.drawn()), refresh=True)
                    last = status
        if last is None:
            raise ValueError("a run has at least one status")
        if not as_json and not self.out.is_terminal:
            self.out.print(tables.status_panel(last))
        return last

    def failures(self, causes: "list[Cause]", spec: "RunSpec", as_json: bool) -> None:
        """Why images are not done."""
        if as_json:
            self._json(causes)
        elif causes:
            self.out.print(tables.failures_table(causes))
            for line in tables.next_actions(causes, spec.run):
                self.tell(f"  {line}")
        else:
            self.say(f"Every image of run {spec.run} that is over is done.")

    def ledger(self, states: "Mapping[str, int]", spec: "RunSpec") -> None:
        """How many images are in which state, and how to get them all."""
        self.out.print(tables.facts(*((state, f"{number:,}") for state, number in sorted(states.items()))))
        self.tell(f"  batchimg ledger {spec.run} --csv --to ledger.csv   writes them all; also --parquet, --json")

    def retry(self, retry: "Retry", as_json: bool, priced: "tuple[Estimate | str, PriceTable]") -> None:
        """What a retry would do, take and cost."""
        if as_json:
            left = {"quarantined": retry.quarantined, "unsent": retry.unsent}
            self._json(tables.plan_values(retry.plan) | left | {"cost": cost_table.estimate_values(*priced)})
            return
        self.skipped(retry)
        self.out.print(tables.plan_table(retry.plan, *cost_table.estimate_rows(*priced), again=True))
        self.say("Nothing was sent. The same command without --plan starts the run.")

    def skipped(self, retry: "Retry") -> None:
        """What a retry leaves alone."""
        if retry.quarantined:
            self.tell(f"{count(retry.quarantined, 'quarantined image')} left alone; --include-quarantined tries them.")
        if retry.unsent:
            self.tell(f"{count(retry.unsent, 'image')} never sent; mend them and type the submit again.")

    def ring(self) -> None:
        """Ring the terminal's bell; where there is no terminal, nobody would hear it."""
        if self.err.is_terminal:
            self.err.bell()

    def runs(self, specs: "list[RunSpec]", as_json: bool) -> None:
        """All runs."""
        if as_json:
            self._json([spec.model_dump(mode="json", exclude={"recipe"}) for spec in specs])
        elif specs:
            self.out.print(tables.runs_table(specs))
        else:
            self.say("There are no runs yet. Start one: batchimg submit --dataset FOLDER")

    def logs(self, logs: "Iterable[TaskLog]") -> None:
        """What tasks printed, as it is."""
        found = False
        for log in logs:
            found = True
            if log.text.strip():
                self.tell(f"── chunk {log.chunk}, {log.stream} (from {log.place})")
                self.out.out(log.text.rstrip("\n"), highlight=False)
        if not found:
            self.tell("No task has printed anything yet.")

    def downloaded(self, done: "Downloaded") -> None:
        """What a download did."""
        there = f", {done.skipped:,} of them were there already" if done.skipped else ""
        self.say(f"{count(done.files, 'file')} ({size(done.bytes)}) in {done.folder}{there}.")
        self.say(f"Records of all images: {done.results}")

    def previewed(self, preview: "Preview") -> None:
        """What a recipe made of one image."""
        self.out.print(tables.preview_table(preview))

    def operations(self, name: str | None, as_json: bool) -> None:
        """Operations, measures and built-in recipes."""
        if as_json:
            self._json(tables.operation_values(name))
        else:
            for part in tables.operations_tables(name):
                self.out.print(part)

    def stack(self, stack: "StackStatus", as_json: bool, *, keys: bool = False) -> None:
        """The local stack."""
        if as_json:
            self._json(tables.stack_values(stack, keys=keys))
        else:
            self.out.print(tables.stack_table(stack))

    def configured(self, done: "Configured") -> None:
        """What was written into the settings file."""
        self.say(f"Written to {done.file}:")
        for name, value in done.values.items():
            self.say(f"  {name} = {value}")

    def findings(self, findings: "Iterable[Finding]", as_json: bool) -> "list[Finding]":
        """What the doctor finds, each as it comes; all of it as JSON at the end."""
        found = []
        for finding in findings:
            found.append(finding)
            if not as_json:
                self.out.print(tables.finding_text(finding))
        if as_json:
            self._json(found)
        return found

    def _json(self, value: Any) -> None:
        self.out.print(json.dumps(value, indent=2, default=_plain), markup=False, soft_wrap=True)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
