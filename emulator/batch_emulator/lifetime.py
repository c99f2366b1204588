"""No task lives longer than 180 days: it is not started any more then, and ended if it runs."""

from __future__ import annotations

from functools import partial

from batch_emulator import endings, runs
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.entities import Task

LIFETIME = 180 * 86_400 * TICKS_PER_SECOND
LOOK_SECONDS = 3600.0
"""How often running tasks are looked at."""


def is_over(task: Task, now: int) -> bool:
    """Whether a task is too old to be started; as on Azure, it then stays active for ever."""
    return now - task.created >= LIFETIME


def keep_watching(account: Account) -> None:
    """Look at running tasks once an hour, as long as there are any."""
    if not account.watching_lifetimes:
        account.watching_lifetimes = True
        account.clock.call_later(LOOK_SECONDS, partial(_look, account))


def _look(account: Account) -> None:
    account.watching_lifetimes = False
    now = account.now()
    for task, run in list(account.runs.items()):
        if is_over(task, now):
            runs.stop(account, run, endings.TERMINATE)
    if account.runs:
        keep_watching(account)
