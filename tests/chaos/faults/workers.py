"""Workers killed at a stage between fetch and result: the process that works, the whole task, or told to end."""

import contextlib
import signal

import psutil

from chaos.doors import Exchange
from chaos.faults.stages import at, sender
from chaos.play import Play
from chaos.world import World


def strike(world: World, whom: str, port: int) -> None:
    """Kill the worker that has a connection from the port, or its task."""
    process = sender(world.workers(), port)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        task = process
        while (parent := task.parent()) is not None and parent.pid != world.processes["emulator"].pid:
            task = parent
        if whom == "worker":
            process.kill()
        elif whom == "task":
            task.kill()
        else:
            task.send_signal(signal.SIGTERM)


def act(play: Play) -> None:
    """Submit, and kill workers at a stage."""
    fields = play.plan.fields

    def kill(exchange: Exchange) -> None:
        strike(play.world, fields["whom"], exchange.request.port)

    at(play, play.plan.stage, kill, fields["count"])
    play.submit()
