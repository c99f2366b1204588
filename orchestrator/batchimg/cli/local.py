"""`batchimg local up`, `down` and `status`: the local stack."""

from typing import Annotated

import typer

from batchimg.cli.common import JsonOption, screen, settings_of


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="The local stack: Azurite and the Batch emulator.", no_args_is_help=True)
    commands.command()(up)
    commands.command()(down)
    commands.command()(status)
    app.add_typer(commands, name="local")


KeysOption = Annotated[bool, typer.Option("--keys", help="With --json: the keys as well, for other tools.")]


def up(context: typer.Context, json: JsonOption = False) -> None:
    """Start the local stack; it ends by itself after 30 idle minutes."""
    from batchimg.local.start import start
    from batchimg.local.status import status as look

    drawn_on = screen()
    start(settings_of(context), drawn_on.observe)
    drawn_on.stack(look(), json)


def down(
    delete: Annotated[bool, typer.Option("--delete", help="Delete its blobs and jobs as well.")] = False,
) -> None:
    """Stop the local stack; what it holds stays, unless --delete is given."""
    from batchimg.local.stack import down as stop

    stopped = stop(delete=delete)
    screen().say(
        ("The local stack is stopped." if stopped else "The local stack was not running.")
        + (" Its blobs and jobs are deleted." if delete else "")
    )


def status(json: JsonOption = False, keys: KeysOption = False) -> None:
    """Show the local stack: endpoints, log files, sizes. Exit 3 if it is not running."""
    from batchimg.local.status import status as look

    drawn_on = screen()
    now = look()
    drawn_on.stack(now, json, keys=keys)
    if now.stack is None:
        raise typer.Exit(3)
