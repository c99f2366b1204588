"""`batchimg cost` and `prices`."""

from typing import Annotated

import typer

from batchimg.cli.common import JsonOption, RunArgument, screen, settings_of

SizeOption = Annotated[
    str | None,
    typer.Option("--vm-size", help="Count with nodes of this size; default: the pool's. [local: Standard_D4ads_v5]"),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(cost)
    app.command()(prices)


def cost(context: typer.Context, run: RunArgument = None, vm_size: SizeOption = None, json: JsonOption = False) -> None:
    """Show what a run has cost: node-seconds busy, idle and wasted, price, price a thousand images."""
    from batchimg.connect import connect
    from batchimg.cost import run_cost
    from batchimg.prices import load_prices
    from batchimg.runs import find_run

    drawn_on = screen()
    settings = settings_of(context, vm_size=vm_size)
    with connect(settings, drawn_on.observe) as connected:
        found = run_cost(connected, find_run(connected, run, drawn_on.observe))
    drawn_on.cost(found, load_prices(settings.prices), json)


def prices(context: typer.Context, vm_size: SizeOption = None, json: JsonOption = False) -> None:
    """Show the price table that plans and costs are counted with: its date, its region, what your nodes cost."""
    from batchimg.connect import connect, is_reachable
    from batchimg.fleet import fleet_of
    from batchimg.prices import load_prices

    drawn_on = screen()
    settings = settings_of(context, vm_size=vm_size)
    table = load_prices(settings.prices)
    if settings.is_local or not is_reachable(settings):
        fleet = fleet_of(settings, table)
    else:
        with connect(settings, drawn_on.observe) as connected:
            fleet = fleet_of(settings, table, connected)
    drawn_on.prices(table, fleet, json)
