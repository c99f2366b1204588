"""What the processes of a run hold while it goes on: memory of their own, open files."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 1.0
FEWEST = 20
MEGABYTE = 1024 * 1024
MOST_GROWTH_MB, MOST_GROWTH = 8.0, 0.10
"""What counts as flat: the last tenth is above the middle by no more than the larger of these."""

MOST_DESCRIPTORS = 4


@dataclass(frozen=True)
class Held:
    """By one process at one time. ``private_mb`` is what would be freed if it ended (smaps_rollup)."""

    at: float
    private_mb: float
    pss_mb: float
    descriptors: int


@dataclass
class Life:
    """All samples of a process."""

    name: str
    pid: int
    samples: list[Held] = field(default_factory=list)

    def part(self, first: float, last: float) -> list[Held]:
        """The samples of a part of its life, by time."""
        begun, ended = self.samples[0].at, self.samples[-1].at
        span = ended - begun
        return [one for one in self.samples if begun + first * span <= one.at <= begun + last * span]

    @property
    def long_enough(self) -> bool:
        return len(self.samples) >= FEWEST

    def middle(self) -> float:
        return statistics.median(one.private_mb for one in self.part(0.45, 0.55))

    def end(self) -> float:
        return statistics.median(one.private_mb for one in self.part(0.88, 0.98))

    def peak(self) -> float:
        return max(one.private_mb for one in self.samples)

    def descriptors(self) -> tuple[int, int]:
        """In the middle and towards the end, at most."""
        return max(one.descriptors for one in self.part(0.4, 0.6)), max(one.descriptors for one in self.part(0.8, 0.98))

    def growth(self) -> str:
        """What grows, in words; empty where it is flat."""
        if not self.long_enough:
            return ""
        middle, end = self.middle(), self.end()
        if end - middle > max(MOST_GROWTH_MB, MOST_GROWTH * middle):
            return f"{self.name}: {middle:.0f} MB in the middle, {end:.0f} MB at the end"
        before, after = self.descriptors()
        return f"{self.name}: {before} open files, then {after}" if after > before + MOST_DESCRIPTORS else ""


@contextmanager
def watched(name_of: Callable[[int, list[str]], str | None]) -> Iterator[dict[int, Life]]:
    """Look at every process that has a name, once a second; ``name_of`` gets a pid and its command line."""
    lives: dict[int, Life] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS):
            for pid, command in _commands():
                name = lives[pid].name if pid in lives else name_of(pid, command)
                held = None if name is None else _held(pid)
                if held is not None:
                    lives.setdefault(pid, Life(name, pid)).samples.append(held)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lives
    finally:
        over.set()
        thread.join()


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (command := _read(entry / "cmdline")):
            yield int(entry.name), command.split("\0")


def _held(pid: int) -> Held | None:
    numbers = {
        line.split(":")[0]: int(line.split()[1])
        for line in _read(Path("/proc", str(pid), "smaps_rollup")).splitlines()
        if line.endswith("kB")
    }
    if not numbers.get("Pss"):
        return None
    private = numbers["Private_Clean"] + numbers["Private_Dirty"]
    try:
        descriptors = len(list(Path("/proc", str(pid), "fd").iterdir()))
    except OSError:
        return None
    return Held(time.monotonic(), private / 1024, numbers["Pss"] / 1024, descriptors)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def ancestors(pid: int) -> list[int]:
    """Its parent, the parent's parent, and so on."""
    found: list[int] = []
    while pid > 1 and (stat := _read(Path("/proc", str(pid), "stat"))):
        pid = int(stat.rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def command_of(pid: int) -> str:
    """Its command line, empty for a process that is gone."""
    return _read(Path("/proc", str(pid), "cmdline"))
