"""The steps of a scenario: each is told on its own line, so that one failure does not hide the others.

A line is `ok NAME` or `not ok NAME: what happened`. Programs in other languages write the same lines.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable

DEADLINE = 60.0


class Steps:
    """Runs steps one after the other and remembers whether all were right."""

    def __init__(self):
        self._failed = False

    def step(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong belongs to this step
            self._failed = True
            told = " ".join(f"{type(error).__name__}: {error}".split())
            sys.stdout.write(f"not ok {name}: {told}\n")
            traceback.print_exc()
        else:
            sys.stdout.write(f"ok {name}\n")
        sys.stdout.flush()

    def run(self, scenario: object) -> None:
        """Every public method of `scenario`, in the order in which they stand there; then the exit code."""
        for name, action in vars(type(scenario)).items():
            if callable(action) and not name.startswith("_"):
                self.step(name.replace("_", " "), lambda found=action: found(scenario))
        sys.exit(1 if self._failed else 0)


def until(condition: Callable[[], object], what: str) -> object:
    """Poll until `condition` gives something true, and give that."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come true within {DEADLINE:.0f} s")


def equal(found: object, wanted: object) -> None:
    """What the client gave must be what was meant."""
    if found != wanted:
        raise AssertionError(f"found {found!r}, expected {wanted!r}")


def account() -> tuple[str, str, str]:
    """Endpoint, account name and key of the emulator under test."""
    return tuple(os.environ[f"AZURE_BATCH_{name}"] for name in ("ENDPOINT", "ACCOUNT", "ACCESS_KEY"))
