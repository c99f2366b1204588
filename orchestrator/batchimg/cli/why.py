"""`batchimg why`."""

import typer

from batchimg.cli.common import JsonOption, RunArgument, run_of, screen


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(context: typer.Context, run: RunArgument = None, json: JsonOption = False) -> None:
    """Say in one sentence why a run does not run, and what to type.

    Exit: 0 it runs well or all is done, 1 it is over and images are missing, 3 no answer, 4 it waits for something
    that comes by itself, 5 nothing moves before somebody acts, 6 it runs, but not well.
    """
    from batchimg.snapshot import take
    from batchimg.why import reason_of

    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec):
        reason = reason_of(take(connected, spec))
    drawn_on.why(reason, json)
    if reason.finding.verdict.value:
        raise typer.Exit(reason.finding.verdict.value)
