"""What several commands have in common."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchimg.connect import Services
    from batchimg.console import Screen
    from batchimg.recipes import Instructions
    from batchimg.settings import Settings
    from batchimg_worker.contract import RunSpec

RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="The run's name or the beginning of it; default: the latest."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", "-r", help="A built-in recipe's name or a YAML file. [default: augment]"),
]
OpOption = Annotated[
    list[str] | None,
    typer.Option("--op", help="One more variant, `rotate=30` or `resize=50% | grayscale`; repeatable."),
]


OperationsOption = Annotated[
    list[Path] | None,
    typer.Option("--operations", help="A Python file with operations of your own; repeatable."),
]
TruncatedOption = Annotated[
    bool | None,
    typer.Option("--allow-truncated", help="Keep what there is of an image whose end is missing.", show_default=False),
]


TilesOption = Annotated[
    str | None,
    typer.Option(
        "--tiles",
        help="Huge images in tiles: auto (what does not fit in memory), always, off, or a side. [default: auto]",
    ),
]


def settings_of(context: typer.Context, **flags: object) -> "Settings":
    """The settings, with the command's own flags on top."""
    from batchimg.settings import load_settings

    return load_settings(context.obj, **flags)


def screen() -> "Screen":
    """Where a command draws."""
    from batchimg.console import Screen

    return Screen()


@contextmanager
def services(context: typer.Context, drawn_on: "Screen") -> "Iterator[Services]":
    """The services that the settings name, closed at the end."""
    from batchimg.connect import connect

    with connect(settings_of(context), drawn_on.observe) as connected:
        yield connected


@contextmanager
def run_of(context: typer.Context, drawn_on: "Screen", run: str | None) -> "Iterator[tuple[Services, RunSpec]]":
    """The services, and the run that was asked for."""
    from batchimg.runs import find_run

    with services(context, drawn_on) as connected:
        yield connected, find_run(connected, run, drawn_on.observe)


@contextmanager
def name_of_run(context: typer.Context, drawn_on: "Screen", run: str | None) -> "Iterator[tuple[Services, str]]":
    """The services, and the id of the run that was asked for: by its full name also a damaged one's."""
    from batchimg.runs import find_name

    with services(context, drawn_on) as connected:
        yield connected, find_name(connected, run, drawn_on.observe)


def instructions_of(recipe: str | None, ops: list[str] | None, operations: list[Path] | None) -> "Instructions":
    """The recipe that the options name, and the files that go along with it."""
    from batchimg.recipes import read_instructions

    return read_instructions(recipe, ops or (), operations or ())
