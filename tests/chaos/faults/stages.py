"""Do something at a stage: when a client's or a worker's request comes to a door."""

import threading
from collections.abc import Callable

import psutil

from chaos.doors import Answer, CutError, Door, Exchange, Rule
from chaos.plan import Stage
from chaos.play import Play
from chaos.world import World


def sender(processes: list[psutil.Process], port: int) -> psutil.Process | None:
    """Which of the processes has a connection from a port."""
    for process in processes:
        try:
            if any(one.laddr and one.laddr.port == port for one in process.net_connections("tcp")):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def door_of(world: World, stage: Stage) -> Door:
    return world.storage_door if stage.service == "storage" else world.batch_door


def at(play: Play, stage: Stage, strike: Callable[[Exchange], None], count: int = 1) -> Rule:
    """Strike when the stage comes; the request is not applied, or applied and not answered."""

    def act(exchange: Exchange) -> Answer:
        if stage.when == "after":
            exchange.forward()
        strike(exchange)
        raise CutError

    def is_worker(port: int) -> bool:
        return (sender(play.world.workers(), port) is not None) == (stage.who == "worker")

    rule = Rule(act, stage.method, stage.pattern, skip=stage.skip, count=count, of=is_worker)
    return door_of(play.world, stage).rule(rule)


class Meanwhile:
    """Something that is done once, in a thread of its own; `join` waits for it and raises what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._error = work, None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - `join` raises it
            self._error = error
