"""`batchimg configure` and `doctor`: an account in Azure."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchimg.cli.common import JsonOption, screen, settings_of

if TYPE_CHECKING:
    from batchimg.configure import Configured, Values
    from batchimg.console import Screen

PROBLEM = 1


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(configure)
    app.command()(doctor)


def configure(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    pulumi: Annotated[
        Path | None, typer.Option("--pulumi", help="The folder of the Pulumi program. [default: pulumi]")
    ] = None,
    stack: Annotated[str | None, typer.Option("--stack", help="Its stack; default: the selected one.")] = None,
    outputs: Annotated[
        str | None,
        typer.Option("--outputs", help="A file with what `pulumi stack output --json` said; - reads it here."),
    ] = None,
    batch_endpoint: Annotated[
        str | None, typer.Option(help="An account that is there: https://…batch.azure.com.")
    ] = None,
    storage_account: Annotated[str | None, typer.Option(help="Its storage account: a name or an address.")] = None,
    pool: Annotated[str | None, typer.Option(help="Its pool.")] = None,
    worker: Annotated[Path | None, typer.Option("--worker", help="Send this bundle for the nodes to install.")] = None,
) -> None:
    """Write what `pulumi up` made, or an account that was there, into batchimg.toml."""
    from batchimg.configure import configure as write
    from batchimg.endpoint import checked_pool, storage_endpoint_of
    from batchimg.settings import chosen_file

    given = {
        "batch_endpoint": batch_endpoint,
        "storage_endpoint": storage_endpoint_of(storage_account) if storage_account is not None else None,
        "pool": checked_pool(pool) if pool is not None else None,
    }
    flags = {name: value for name, value in given.items() if value is not None}
    named = pulumi is None and stack is None and outputs is None and batch_endpoint is not None
    found: Values = {} if named else _outputs(pulumi, stack, outputs)
    done = write(chosen_file(context.obj), {**found, **flags})
    drawn_on = screen()
    drawn_on.configured(done)
    _send(done, worker, drawn_on)


def _outputs(pulumi: Path | None, stack: str | None, outputs: str | None) -> "Values":
    from batchimg.configure import pulumi_outputs, read_outputs
    from batchimg.errors import InputError

    if outputs == "-":
        return read_outputs(sys.stdin.buffer.read(), "standard input")
    if outputs is not None:
        try:
            return read_outputs(Path(outputs).read_bytes(), outputs)
        except OSError as error:
            raise InputError(f"cannot read {outputs}: {error.strerror}", "Give a file that exists.") from error
    return pulumi_outputs(pulumi or Path("pulumi"), stack)


def _send(done: "Configured", worker: Path | None, drawn_on: "Screen") -> None:
    """Send the worker's bundle if one is given, or say that it is missing."""
    from batchimg.bundle import is_there, send
    from batchimg.connect import connect
    from batchimg.errors import InputError
    from batchimg.settings import load_settings

    if not done.bundle:
        if worker is not None:
            raise InputError("these nodes install no bundle: --worker has no meaning", "Leave it out.")
        return
    with connect(load_settings(done.file), drawn_on.observe) as services:
        if worker is not None:
            new = send(services.store, done.bundle, worker)
            drawn_on.say(f"The worker {'is sent to' if new else 'was there before:'} {done.bundle}")
        elif not is_there(services.store, done.bundle):
            drawn_on.tell(f"Nodes find no worker at {done.bundle}: `make configure` in batchimg's folder sends it.")


def doctor(context: typer.Context, json: JsonOption = False) -> None:
    """Look, read only, at what can be wrong with an account. Exit 1 if there is a problem."""
    from batchimg.connect import connect
    from batchimg.doctor import Finding, examine
    from batchimg.local.running import find
    from batchimg.management import Management
    from batchimg_worker.storage import is_loopback

    drawn_on = screen()
    settings = settings_of(context)
    if settings.is_local and find() is None:
        message = "no Azure endpoint is configured, and the local stack is not running"
        drawn_on.findings([Finding("settings", "unknown", message, "It starts with `submit`.")], json)
        return
    emulated = is_loopback(settings.batch_endpoint or "")
    account = None if emulated else settings.batch_account_id
    management = Management(account) if account else None
    with connect(settings, drawn_on.observe, announce=True) as services:
        found = drawn_on.findings(examine(services, management), json)
    if any(finding.level == "problem" for finding in found):
        raise typer.Exit(PROBLEM)
