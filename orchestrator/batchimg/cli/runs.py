"""`batchimg status`, `runs`, `logs`, `cancel` and `delete`."""

from typing import Annotated

import typer

from batchimg.cli.common import JsonOption, RunArgument, name_of_run, run_of, screen, services
from batchimg.cli.watching import NotifyOption, needs_watching, watch_to_end


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(runs)
    app.command()(logs)
    app.command()(cancel)
    app.command()(delete)


def status(
    context: typer.Context,
    run: RunArgument = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Draw it again and again until the run is over.")
    ] = False,
    json: JsonOption = False,
    notify: NotifyOption = None,
) -> None:
    """Show how far a run is. Exit 1 if it is over and an image is not done."""
    from batchimg.still import with_reason
    from batchimg.watch import status as look

    needs_watching(notify, watch, "--watch")
    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec):
        if watch:
            final = watch_to_end(connected, spec, drawn_on, json=json, notify=notify)
        else:
            final = with_reason(connected, spec, look(connected, spec))
            drawn_on.status(final, json)
    if final.is_over and not final.all_done:
        raise typer.Exit(1)


def runs(context: typer.Context, json: JsonOption = False) -> None:
    """List the runs, the latest first."""
    from batchimg.runs import all_runs

    drawn_on = screen()
    with services(context, drawn_on) as connected:
        drawn_on.runs(all_runs(connected, drawn_on.observe), json)


def logs(
    context: typer.Context,
    run: RunArgument = None,
    chunk: Annotated[int | None, typer.Option(min=0, help="Of this chunk alone.")] = None,
) -> None:
    """Show what the tasks printed, also after their nodes have gone."""
    from batchimg.logs import logs as read

    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec):
        drawn_on.logs(read(connected, spec, chunk))


def cancel(context: typer.Context, run: RunArgument = None) -> None:
    """End a run; what is done stays."""
    from batchimg.runs import cancel as end

    drawn_on = screen()
    with name_of_run(context, drawn_on, run) as (connected, name):
        ended = end(connected, name)
    drawn_on.say(
        f"Run {name} is cancelled; what was done stays." if ended else f"Run {name} had ended before; nothing runs."
    )


def delete(
    context: typer.Context,
    run: RunArgument = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run's job, pictures and records; the originals stay."""
    from batchimg.errors import SettingsError
    from batchimg.runs import delete as remove

    if yes and run is None:
        raise SettingsError("--yes deletes without asking, and no run was named", "`batchimg runs` lists them.")
    drawn_on = screen()
    with name_of_run(context, drawn_on, run) as (connected, name):
        if not yes and not typer.confirm(f"Delete run {name} with its pictures and records?"):
            drawn_on.say("Nothing was deleted.")
            return
        with drawn_on.progress():
            gone = remove(connected, name, drawn_on.observe)
    drawn_on.say(f"Run {name} is deleted ({gone.blobs:,} blobs); the originals stay.")
