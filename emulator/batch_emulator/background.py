"""Work that would block: it is done beside the event loop, and its end is told on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

Work = Callable[[], None]
Done = Callable[[BaseException | None], None]


class Background(Protocol):
    """Does blocking work somewhere else."""

    def run(self, work: Work, done: Done) -> None:
        """Do `work`, then call `done` with what it raised, or None. `done` never comes before this returns."""


class LoopBackground:
    """In the threads of the running asyncio loop; work that the end of the loop cancels has no `done`."""

    def run(self, work: Work, done: Done) -> None:
        """Do `work` in a thread."""

        def told(future: asyncio.Future[None]) -> None:
            if not future.cancelled():
                done(future.exception())

        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(told)
