"""Watching a run to its end, for `submit --wait` and `status --watch`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from batchimg.connect import Services
    from batchimg.console import Screen
    from batchimg.watch import RunStatus
    from batchimg_worker.contract import RunSpec

NotifyOption = Annotated[
    str | None,
    typer.Option(
        "--notify", metavar="URL|bell", help="When the run is over: POST to this URL, or ring the terminal's bell."
    ),
]


def needs_watching(notify: str | None, watched: bool, option: str) -> None:
    """Raise SettingsError for a target that is none, or that nobody would be there to tell."""
    from batchimg.errors import SettingsError
    from batchimg.notify import check_target

    if notify is None:
        return
    check_target(notify)
    if not watched:
        raise SettingsError(f"--notify tells of the end of a run that somebody watches: it needs {option}")


def watch_to_end(
    connected: "Services", spec: "RunSpec", drawn_on: "Screen", *, json: bool, notify: str | None
) -> "RunStatus":
    """Draw a run until it is over, then tell whom the option or the setting names.

    Raises RunFailed where the run was ended because it passed `max_failures` or `max_cost`.
    """
    from batchimg.notify import BELL, check_target
    from batchimg.notify import notify as tell
    from batchimg.still import with_reasons
    from batchimg.stop import Bounds
    from batchimg.watch import follow

    setting = connected.settings.notify
    target = notify or (check_target(setting.get_secret_value()) if setting else None)
    bounds = Bounds.of(connected, spec)
    final = drawn_on.watch(bounds.hold(with_reasons(connected, spec, follow(connected, spec))), json)
    if target == BELL:
        drawn_on.ring()
    elif target is not None:
        tell(target, final, drawn_on.observe)
    if bounds.passed is not None:
        raise bounds.passed
    return final


def wait_for(connected: "Services", spec: "RunSpec", drawn_on: "Screen", *, json: bool, notify: str | None) -> None:
    """Draw a run until it is over; exit 1 where an image is not done."""
    if not watch_to_end(connected, spec, drawn_on, json=json, notify=notify).all_done:
        raise typer.Exit(1)
