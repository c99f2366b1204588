"""`batchimg submit`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

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
from batchimg.cli.watching import NotifyOption, needs_watching, wait_for

if TYPE_CHECKING:
    from batchimg.connect import Services
    from batchimg.console import Screen
    from batchimg.order import Order
    from batchimg.plan import Plan
    from batchimg.settings import Settings
    from batchimg_worker.contract import Source


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(submit)


def submit(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option("--dataset", "-d", help="A folder, a glob in quotes, or https://…blob…/container/prefix."),
    ],
    recipe: RecipeOption = None,
    op: OpOption = None,
    operations: OperationsOption = None,
    allow_truncated: TruncatedOption = None,
    chunk_images: Annotated[
        int | None, typer.Option(min=1, help="Images a task; default: by size, 2 to 10 minutes a task.")
    ] = None,
    tiles: TilesOption = None,
    split: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Tasks for each image that is done in tiles. [default: 1]")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; default: the folder's.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every image, not only what is new or has changed since the latest run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only go on with a run that is there; the same submit does so anyway.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end; exit 1 if an image failed.")] = False,
    notify: NotifyOption = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0.02, help="Azure Batch ends the run after so long. [default: 168]")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="USD: a dearer run is refused, and none can cost more. [default: no limit]"),
    ] = None,
    max_failures: Annotated[
        str | None,
        typer.Option(help="End the run if more images fail: 5% or a number. [default: 20% of a canary]"),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(
            metavar="auto|never|N", help="Images that are done before the rest of a large run. [default: auto]"
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would happen, how long, for how much, and do nothing.")
    ] = False,
    json: JsonOption = False,
    others: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Upload a dataset and start a run: one task a chunk of images."""
    from batchimg.connect import connect
    from batchimg.order import Order

    needs_watching(notify, wait, "--wait")
    drawn_on = screen()
    _refuse_several(others)
    settings = settings_of(
        context,
        chunk_images=chunk_images,
        max_hours=max_hours,
        allow_truncated=allow_truncated,
        tiles=tiles,
        split=split,
        max_cost=max_cost,
        max_failures=max_failures,
        canary=canary,
    )
    instructions = instructions_of(recipe, op, operations)
    order = replace(Order.of(settings, dataset, instructions, name), everything=everything)
    if plan and not order.is_url:
        _plan_folder(order, settings, drawn_on, json)
        return
    found = order.scan_folder()
    with connect(settings, drawn_on.observe, announce=True) as connected:
        if plan:
            _show(order, connected, order.plan_blobs(connected), drawn_on, json)
            return
        with drawn_on.progress():
            submitted = order.place(connected, drawn_on.observe, found, resume=resume)
        drawn_on.submitted(submitted, quiet=json and wait, json=json)
        if wait:
            wait_for(connected, submitted.spec, drawn_on, json=json, notify=notify)
            if submitted.failed_before:
                raise typer.Exit(1)


def _refuse_several(others: list[str] | None) -> None:
    """What a glob without quotes becomes: the shell puts all the files behind the option."""
    from batchimg.errors import InputError

    if others:
        raise InputError(
            f"--dataset takes one value, and {others[0]!r} came after it ({len(others):,} more in all)",
            "Put a glob in quotes, so that the shell leaves it alone: --dataset 'images/*.jpg'.",
        )


def _plan_folder(order: "Order", settings: "Settings", drawn_on: "Screen", json: bool) -> None:
    """Show the plan of a folder; what runs have done is left out where that can be asked without starting anything."""
    from batchimg.connect import connect, is_reachable
    from batchimg.upload import place_of

    plan = order.plan_folder()
    if not is_reachable(settings):
        _draw(plan, settings, None, drawn_on, json)
        return
    with connect(settings, drawn_on.observe) as connected:
        _show(order, connected, (plan, place_of(plan.dataset)), drawn_on, json)


def _show(order: "Order", connected: "Services", whole: "tuple[Plan, Source]", drawn_on: "Screen", json: bool) -> None:
    """Show what a submit would do of the plan of a whole dataset."""
    as_mended, plan = order.foreseen(connected, *whole, drawn_on.observe)
    _draw(plan, connected.settings, as_mended, drawn_on, json)


def _draw(plan: "Plan", settings: "Settings", connected: "Services | None", drawn_on: "Screen", json: bool) -> None:
    """Show a plan with its price, and whether `max_cost` would refuse it."""
    from batchimg.budget import refusal_of
    from batchimg.prices import load_prices
    from batchimg.quote import quote

    estimated = quote(settings, plan, connected)
    drawn_on.plan(plan, json, (estimated, load_prices(settings.prices)))
    refused = refusal_of(estimated, settings.max_cost) if len(plan.dataset) else None
    if refused is not None:
        drawn_on.tell(f"Without --plan it would be refused: {refused}")
