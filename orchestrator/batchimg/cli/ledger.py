"""`batchimg ledger`, `failures` and `retry`: what became of every image, and what to do about it."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchimg.cli.common import JsonOption, RunArgument, run_of, screen
from batchimg.cli.watching import NotifyOption, needs_watching, wait_for

if TYPE_CHECKING:
    from batchimg.console import Screen
    from batchimg.ledger import Format


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ledger)
    app.command()(failures)
    app.command()(retry)


def ledger(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    run: RunArgument = None,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet, for pandas, DuckDB and others.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON, one line an image.")] = False,
    to: Annotated[Path | None, typer.Option("--to", help="The file; default: standard output.")] = None,
) -> None:
    """Write one row for every image of a run, and of those that it goes on from; without a format: a summary.

    Exit 1 where images have no record, and nothing names them any more.
    """
    from batchimg.ledger import export, states, write_file

    drawn_on = screen()
    kind = _format(csv, parquet, json, to)
    gone: Counter[str] = Counter()
    with run_of(context, drawn_on, run) as (connected, spec):
        if kind is None:
            drawn_on.ledger(states(connected, spec, gone), spec)
        elif to is None:
            export(connected, spec, sys.stdout.buffer, kind, gone)
        else:
            rows = write_file(connected, spec, to, kind, gone)
            drawn_on.say(f"{rows:,} rows in {to}")
    _tell_of_gone(gone, drawn_on)


def _format(csv: bool, parquet: bool, json: bool, to: Path | None) -> "Format | None":
    """The format that was asked for, or that the file's name says."""
    from batchimg.errors import SettingsError

    chosen: list[Format] = [name for name, wanted in _formats(csv, parquet, json) if wanted]
    if len(chosen) > 1:
        raise SettingsError(f"--{' and --'.join(chosen)} exclude each other", "Give one of them.")
    if chosen:
        return chosen[0]
    if to is None:
        return None
    by_suffix: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json"}
    if to.suffix not in by_suffix:
        raise SettingsError(f"{str(to)!r} does not say its format", "Give --csv, --parquet or --json.")
    return by_suffix[to.suffix]


def _formats(csv: bool, parquet: bool, json: bool) -> "tuple[tuple[Format, bool], ...]":
    return (("csv", csv), ("parquet", parquet), ("json", json))


def failures(context: typer.Context, run: RunArgument = None, json: JsonOption = False) -> None:
    """Group the images that are not done by their cause.

    Exit 1 where images have no record, and nothing names them any more.
    """
    from batchimg.ledger import failures as look

    drawn_on = screen()
    gone: Counter[str] = Counter()
    with run_of(context, drawn_on, run) as (connected, spec):
        found = look(connected, spec, gone)
        if found or json or not gone:
            drawn_on.failures(found, spec, json)
    _tell_of_gone(gone, drawn_on)


def _tell_of_gone(gone: "Counter[str]", drawn_on: "Screen") -> None:
    """Say that nobody knows what became of images, and exit 1; nothing where there are none of those."""
    for run, images in gone.items():
        drawn_on.tell(
            f"{images:,} images of run {run} have no record, and the manifests that name them are gone, or were "
            "never written. The same `batchimg submit` writes them anew, and does what is left."
        )
    if gone:
        raise typer.Exit(1)


def retry(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    run: RunArgument = None,
    cause: Annotated[
        str | None, typer.Option("--cause", help="Only images whose error has this text, as `failures` shows it.")
    ] = None,
    include_quarantined: Annotated[
        bool, typer.Option("--include-quarantined", help="Also images that ended their worker.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would happen, and do nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end; exit 1 if an image failed.")] = False,
    notify: NotifyOption = None,
    json: JsonOption = False,
) -> None:
    """Start a new run with exactly the images that a run has not done; its results include the old run's."""
    from batchimg.prices import load_prices
    from batchimg.quote import quote_retry
    from batchimg.retry import NothingToRetry, Wanted, plan_retry, start_retry
    from batchimg.submit import finish_submit

    needs_watching(notify, wait, "--wait")
    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec):
        try:
            planned = plan_retry(connected, spec, Wanted(cause, include_quarantined))
        except NothingToRetry as error:
            if not plan:
                finish_submit(connected, error.spec)
            raise
        if plan:
            prices = load_prices(connected.settings.prices)
            drawn_on.retry(planned, json, (quote_retry(connected, planned.plan), prices))
            return
        drawn_on.skipped(planned)
        with drawn_on.progress():
            submitted = start_retry(connected, planned, drawn_on.observe)
        drawn_on.submitted(submitted, quiet=json and wait, json=json)
        if wait:
            wait_for(connected, submitted.spec, drawn_on, json=json, notify=notify)
