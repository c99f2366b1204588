"""`batchimg preview` and `ops`: no services at all."""

from pathlib import Path
from typing import Annotated

import typer

from batchimg.cli.common import JsonOption, OpOption, RecipeOption, recipe_of, screen, settings_of


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(preview)
    app.command()(ops)


def preview(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    recipe: RecipeOption = None,
    op: OpOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder for the pictures; default: preview-IMAGE.")
    ] = None,
) -> None:
    """Run the recipe on one image, in this process."""
    from batchimg.preview import preview as run

    drawn_on = screen()
    drawn_on.previewed(run(image, recipe_of(recipe, op), settings_of(context), to))


def ops(
    operation: Annotated[str | None, typer.Argument(metavar="[OPERATION]", help="Show this one alone.")] = None,
    json: JsonOption = False,
) -> None:
    """List the operations with their parameters and defaults."""
    screen().operations(operation, json)
