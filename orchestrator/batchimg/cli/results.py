"""`batchimg download` and `gallery`."""

from pathlib import Path
from typing import Annotated

import typer

from batchimg.cli.common import RunArgument, run_of, screen


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(download)
    app.command()(gallery)


def download(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="The folder that the pictures go to.")],
    run: RunArgument = None,
    variant: Annotated[str | None, typer.Option("--variant", help="This variant alone.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that has another run's files.")] = False,
) -> None:
    """Fetch a run's pictures and its records, verified; what is there already is not fetched again.

    Exit 1 where pictures are gone that the records tell of, or where records cannot be read.
    """
    from batchimg.download import Folder
    from batchimg.download import download as fetch
    from batchimg.watch import status as look

    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec), drawn_on.progress():
        done = fetch(connected, spec, Folder(to, force), variant, drawn_on.observe)
        now = look(connected, spec)
    drawn_on.downloaded(done)
    if now.done + now.failed < now.images:
        why = f"The rest was not reached: batchimg why {spec.run}"
        drawn_on.tell(
            f"Run {spec.run} is {now.state}: {now.done + now.failed:,} of {now.images:,} images so far. "
            + (why if now.is_over else "The same command fetches the rest later.")
        )
    if done.missing:
        drawn_on.tell(
            f"{done.missing:,} pictures of run {spec.run} that its records name are gone: they were deleted, or have "
            f"expired. To make them anew: batchimg delete {spec.run}, then the same `batchimg submit`."
        )
    if done.missing or done.damaged:
        raise typer.Exit(1)


def gallery(
    context: typer.Context,
    run: RunArgument = None,
    to: Annotated[Path | None, typer.Option("--to", help="The page; default: RUN.html in this folder.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Show so many images.")] = 40,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a self-contained page: originals beside their variants, and failures with their reason."""
    from batchimg.gallery import write_gallery

    drawn_on = screen()
    with run_of(context, drawn_on, run) as (connected, spec), drawn_on.progress():
        page = write_gallery(connected, spec, to or Path(f"{spec.run}.html"), limit, drawn_on.observe)
    drawn_on.say(f"Gallery: {page}")
    if open_:
        typer.launch(page.resolve().as_uri())
