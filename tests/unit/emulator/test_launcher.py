"""The end of the emulator: what its tasks get to do."""

import asyncio
import time

from batch_emulator.clock import ManualClock
from batch_emulator.commands import Command
from batch_emulator.launcher import LAST_SECONDS, ProcessLauncher

PATH = {"PATH": "/usr/bin:/bin"}


def test_tasks_are_told_to_end_and_have_a_moment_for_it_before_they_are_killed(tmp_path):
    script = "trap 'sleep 0.1; echo saved > last; exit 143' TERM; echo > begun; while :; do sleep 0.01; done"

    async def life() -> None:
        launcher = ProcessLauncher(ManualClock())
        told: list[int] = []
        out = str(tmp_path / "out")
        launcher.launch(Command(["sh", "-c", script], str(tmp_path), PATH, out, out), told.append)
        deadline = time.monotonic() + 20
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        launcher.close()
        assert told == []

    asyncio.run(life())
    assert (tmp_path / "last").read_text() == "saved\n"
    assert LAST_SECONDS > 2.0
