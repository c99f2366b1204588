"""What `up` tells the supervisor that it starts."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchimg.local.ports import Ports


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of the stack, named `token`.

    The supervisor writes to the pipe `ready_fd` when it runs, and closes it.
    """

    home: Path
    node: Path
    azurite: Path
    token: str
    idle_seconds: float
    wanted: Ports
    last: Ports
    ready_fd: int

    def command(self) -> tuple[str, ...]:
        """The supervisor's command line, which `parse` reads."""
        return (
            *(sys.executable, "-m", "batchimg.local.supervisor", "--home", str(self.home)),
            *("--node", str(self.node), "--azurite", str(self.azurite), "--token", self.token),
            *("--idle-seconds", str(self.idle_seconds), "--ready-fd", str(self.ready_fd)),
            *("--wanted-ports", _ports_text(self.wanted), "--last-ports", _ports_text(self.last)),
        )


def parse(arguments: Sequence[str]) -> Launch:
    """The launch that a command line says."""
    parser = argparse.ArgumentParser("batchimg.local.supervisor", description="Not for people: see `batchimg local`.")
    for name in ("home", "node", "azurite"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--idle-seconds", type=float, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    for name in ("wanted", "last"):
        parser.add_argument(f"--{name}-ports", type=_ports, required=True)
    said = parser.parse_args(arguments)
    return Launch(
        home=said.home,
        node=said.node,
        azurite=said.azurite,
        token=said.token,
        idle_seconds=said.idle_seconds,
        wanted=said.wanted_ports,
        last=said.last_ports,
        ready_fd=said.ready_fd,
    )


def _ports_text(ports: Ports) -> str:
    return f"{ports.blob},{ports.queue},{ports.batch}"


def _ports(text: str) -> Ports:
    blob, queue, batch = (int(part) for part in text.split(","))
    return Ports(blob, queue, batch)
