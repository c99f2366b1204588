"""Budget: what a run may cost at most. A dearer one is refused; the job's wall clock keeps the others below it."""

from dataclasses import dataclass, replace

from batchimg.connect import Services
from batchimg.errors import SettingsError
from batchimg.estimate import Estimate, hours_within
from batchimg.events import Observer, Told
from batchimg.words import duration, money

SHORTEST_HOURS = 0.05  # a job of three minutes does nothing but start


@dataclass(frozen=True, slots=True)
class Spent:
    """USD that a run has cost: ``before`` it, by its canary, and its ``own``, which its estimate holds already."""

    before: float = 0.0
    own: float = 0.0


NOTHING = Spent()


def check(estimated: Estimate | str, most: float, spent: float = 0.0) -> Estimate:
    """Raise SettingsError where a plan is expected to cost more than what is left of ``most`` USD."""
    if isinstance(estimated, str):
        raise SettingsError(f"--max-cost needs a price: {estimated}", "`batchimg prices` shows the price table.")
    expected = estimated.total.expected + spent
    if expected > most or hours_within(most, estimated, spent) < SHORTEST_HOURS:
        before = f", {money(spent)} of it spent already" if spent else ""
        raise SettingsError(
            f"this run is expected to cost {money(expected)}{before}, and --max-cost is {money(most)}",
            f"--max-cost {spent + estimated.enough:.2f} would be enough; --plan shows what it is made of. "
            "Nothing was submitted.",
        )
    return estimated


def refusal_of(estimated: Estimate | str, most: float | None) -> str | None:
    """What `check` would say of a plan whose run has not begun; None where it may run."""
    try:
        if most is not None:
            check(estimated, most)
    except SettingsError as error:
        return error.message
    return None


def limited(services: Services, planned: Estimate | str, observer: Observer, spent: Spent = NOTHING) -> Services:
    """The services with a wall clock for jobs that cannot cost more than `max_cost`, whatever becomes of the laptop.

    Raises SettingsError as `check` does, and where nothing is left for a run that has begun.
    """
    settings = services.settings
    if settings.max_cost is None:
        return services
    estimated = check(planned, settings.max_cost, spent.before)
    hours = hours_within(settings.max_cost, estimated, spent.before + spent.own)
    if hours < SHORTEST_HOURS:
        raise SettingsError(
            f"this run has cost {money(spent.before + spent.own)}, and --max-cost is {money(settings.max_cost)}",
            "What is done stays. A higher --max-cost goes on with it.",
        )
    if hours >= settings.max_hours:
        return services
    if hours * 3600 < estimated.wall_seconds.expected:
        observer(
            Told(
                f"With --max-cost {settings.max_cost:g} the run is ended after {duration(hours * 3600)}, and it is "
                f"expected to take {duration(estimated.wall_seconds.expected)}: --max-cost "
                f"{spent.before + estimated.enough:.2f} gives it the time. What is done stays; `batchimg retry` does "
                "the rest."
            )
        )
    return replace(services, settings=settings.model_copy(update={"max_hours": hours}))
