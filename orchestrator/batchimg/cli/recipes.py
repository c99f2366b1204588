"""`batchimg preview` and `ops`: no services at all."""

from pathlib import Path
from typing import Annotated

import typer

from batchimg.cli.common import (
    JsonOption,
    OperationsOption,
    OpOption,
    RecipeOption,
    TilesOption,
    TruncatedOption,
    instructions_of,
    screen,
    settings_of,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(preview)
    app.command()(ops)


def preview(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    recipe: RecipeOption = None,
    op: OpOption = None,
    operations: OperationsOption = None,
    allow_truncated: TruncatedOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder for the pictures; default: preview-IMAGE.")
    ] = None,
    tiles: TilesOption = None,
) -> None:
    """Run the recipe on one image, in this process."""
    from batchimg.preview import preview as run

    drawn_on = screen()
    settings = settings_of(context, allow_truncated=allow_truncated, tiles=tiles)
    drawn_on.previewed(run(image, instructions_of(recipe, op, operations).recipe, settings, to))


def ops(
    operation: Annotated[str | None, typer.Argument(metavar="[OPERATION]", help="Show this one alone.")] = None,
    operations: OperationsOption = None,
    json: JsonOption = False,
) -> None:
    """List the operations with their parameters and defaults."""
    from batchimg.recipes import load_all

    load_all(operations or ())
    screen().operations(operation, json)
