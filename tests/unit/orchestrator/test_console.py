"""What the console draws on a terminal."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from batchimg.console import Screen, Terminal
from batchimg.watch import ChunkCounts, RunStatus

CLEARED = "\x1b[2J\x1b[H"


def status(done: int) -> RunStatus:
    return RunStatus(
        run="photos-0123456789", state="completed" if done == 9 else "running", dataset="photos", images=9, done=done,
        failed=0, lost=0, bytes_in=1, bytes_out=1, chunks=ChunkCounts(1, 0, 1, 0), nodes={"running": 1},
        created=datetime(2026, 1, 1, tzinfo=UTC), started=None, ended=None, images_per_second=None, eta_seconds=None,
        failed_tasks=(), causes={}, slow=(), note=None,
    )  # fmt: skip


def drawn(sizes: list[tuple[int, int]]) -> str:
    """What is written while the terminal gets one size after the other."""
    screen, written = Screen(), io.StringIO()
    screen.out = Terminal(file=written, force_terminal=True, width=sizes[0][0], height=sizes[0][1], _environ={})

    def statuses() -> Iterator[RunStatus]:
        for number, size in enumerate(sizes):
            screen.out.size = size
            yield status(number)

    screen.watch(statuses(), as_json=False)
    return written.getvalue()


def test_a_terminal_that_shrinks_is_drawn_anew():
    text = drawn([(100, 30), (100, 30), (40, 20), (40, 20)])
    assert text.count(CLEARED) == 1
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.split(CLEARED)[1])
    assert "photos" in last
    assert max(len(line) for line in re.split(r"[\r\n]+", last)) <= 40


def test_a_terminal_that_stays_is_never_cleared():
    assert CLEARED not in drawn([(100, 30)] * 3)
