"""A clock that is wrong, the client's or the nodes': a library in front of the C library's clocks."""

import subprocess
import sys
from pathlib import Path

from chaos.play import Play

SOURCE = Path(__file__).with_name("clock.c")


def library(folder: Path) -> Path:
    """The library, compiled once."""
    made = folder / "clock.so"
    if not made.exists():
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", made, SOURCE]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return made


def act(play: Play) -> None:
    """Submit with a wrong clock; where the service refuses that, `finish` types it again with the right one."""
    play.world.strikes += 1
    seconds = str(play.plan.fields["seconds"])
    preload = str(library(play.world.folder))
    if play.plan.fields["whose"] == "client":
        play.submit(LD_PRELOAD=preload, CHAOS_SECONDS=seconds)
    else:
        play.submit(BATCHIMG_WORKER_COMMAND=f"env LD_PRELOAD={preload} CHAOS_SECONDS={seconds} batchimg-worker")
