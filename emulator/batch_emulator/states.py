"""The state machines of the service, as tables: state -> the states it may change to.

An illegal change is a bug of the emulator, so it raises; a client's illegal wish is refused before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Transitions = Mapping[str, frozenset[str]]


class IllegalTransitionError(RuntimeError):
    """The emulator tried a change of state that its own table forbids."""


def _table(**rows: str) -> Transitions:
    return {state: frozenset(targets.split()) for state, targets in rows.items()}


POOL: Final = _table(active="deleting", deleting="")

ALLOCATION: Final = _table(steady="resizing", resizing="steady stopping", stopping="steady")

NODE: Final = _table(
    creating="starting leavingpool unusable unknown preempted",
    starting="waitingforstarttask idle leavingpool unusable unknown preempted",
    waitingforstarttask="idle starttaskfailed rebooting reimaging leavingpool unusable unknown preempted",
    starttaskfailed="rebooting reimaging leavingpool unusable unknown preempted",
    idle="running offline rebooting reimaging deallocating leavingpool unusable unknown preempted",
    running="idle offline rebooting reimaging deallocating leavingpool unusable unknown preempted",
    offline="idle running rebooting reimaging deallocating leavingpool unusable unknown preempted",
    rebooting="starting leavingpool unusable unknown preempted",
    reimaging="starting leavingpool unusable unknown preempted",
    deallocating="deallocated leavingpool unusable unknown preempted",
    deallocated="starting leavingpool unusable preempted",
    unusable="rebooting reimaging leavingpool unknown preempted",
    unknown="creating leavingpool unusable preempted",
    preempted="creating leavingpool",
    leavingpool="",
)

NODE_SCHEDULING: Final = _table(enabled="disabled", disabled="enabled")

JOB: Final = _table(
    active="disabling terminating deleting",
    disabling="disabled terminating deleting",
    disabled="enabling terminating deleting",
    enabling="active terminating deleting",
    terminating="completed deleting",
    completed="deleting",
    deleting="",
)

TASK: Final = _table(
    active="preparing running completed",
    preparing="running active completed",
    running="active completed",
    completed="active",
)

JOB_SCHEDULE: Final = _table(
    active="disabled terminating completed deleting",
    disabled="active terminating completed deleting",
    terminating="completed deleting",
    completed="deleting",
    deleting="",
)

MACHINES: Final[Mapping[str, Transitions]] = {
    "pool": POOL,
    "pool allocation": ALLOCATION,
    "node": NODE,
    "node scheduling": NODE_SCHEDULING,
    "job": JOB,
    "task": TASK,
    "job schedule": JOB_SCHEDULE,
}


def check(machine: str, current: str, target: str) -> None:
    """Raise IllegalTransitionError unless `machine` may change from `current` to `target`."""
    if target not in MACHINES[machine][current]:
        raise IllegalTransitionError(f"a {machine} cannot change from {current!r} to {target!r}")
