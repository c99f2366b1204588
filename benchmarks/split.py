"""`make bench-split`: what one huge TIFF takes that is split over several tasks: bytes fetched and seconds.

Storage is a small server that answers after 20 ms, and each task has a network of its own to it, of a given bandwidth.
A task is a process with the worker's own data path, bound to one processor, as a node with one; bands are measured one
after the other, each alone, and two also at once. *both* are the slowest band and the join. *whole files*: every task
fetches all of the original.
"""

import argparse
import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.request import urlopen

from data_path import KEY, LATENCY, on, server
from tiles import made

if TYPE_CHECKING:
    from batchimg_worker.contract import ImageEntry, RunSpec
    from batchimg_worker.storage import Container

NAME = "huge.tif"
OPERATIONS = {
    "crop": "crop=2000x2000",
    "blur": "blur=sigma:5",
    "median": "denoise=method:median,radius:5",
}
WORDS = {"parts": "what is needed", "whole": "whole files"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_000, help="width and height of the image (default 10000)")
    parser.add_argument("--bandwidth", type=float, default=100, help="MB a second, of each task (default 100)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument("--tasks", default="2,8", help="over how many tasks (default 2,8)")
    parser.add_argument("--work", nargs=4, metavar=("ENDPOINT", "OPERATION", "BAND", "HOW"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(*chosen.work)
        return
    processors = sorted(os.sched_getaffinity(0))
    with TemporaryDirectory(prefix="batchimg-bench-") as scratch:
        file = Path(scratch) / NAME
        made(file, chosen.side, "tiff")
        with server(LATENCY, processors[-1], chosen.bandwidth) as endpoint:
            size = upload(file, endpoint)
            file.unlink()
            print(
                f"{chosen.side}x{chosen.side} RGB, TIFF in tiles, {size / 1e6:.0f} MB; {chosen.rounds} rounds, medians"
            )
            print(f"{LATENCY * 1000:.0f} ms, {chosen.bandwidth:.0f} MB/s a task\n")
            bench = Bench(endpoint, size, chosen.rounds, processors)
            names = "MB a task | MB in all | ÷ file | fetch s | slowest band s | its CPU s | join s | one task ÷ both"
            print(f"| | {names} |")
            print("|---|---|---|---|---|---|---|---|---|")
            print(bench.table([int(number) for number in chosen.tasks.split(",")]))


def upload(file: Path, endpoint: str) -> int:
    from batchimg_worker.storage import BlobStore

    with file.open("rb") as content:
        BlobStore(f"{endpoint}/upload", KEY).container("inputs").write(NAME, content)
    return file.stat().st_size


@dataclass(frozen=True)
class Took:
    """Of one task: seconds of the work, and of its processor; seconds of its fetch, bytes that its network brought."""

    wall: float
    cpu: float
    fetch: float
    bytes: int


@dataclass(frozen=True)
class Bench:
    """Runs tasks on one image in storage."""

    endpoint: str
    size: int
    rounds: int
    processors: list[int]

    def table(self, numbers: list[int]) -> str:
        found: dict[str, list[list[Took]]] = {}
        for _ in range(self.rounds):
            for name, tasks in self.rows(numbers):
                found.setdefault(name, []).append(tasks)
        return "\n".join(self.row(name, found) for name in found)

    def rows(self, numbers: list[int]) -> Iterator[tuple[str, list[Took]]]:
        """A round: names that begin with the operation, and the tasks of each, the join last."""
        yield "crop, one task, whole files", self.alone("crop", 1, "whole")
        yield "crop, one task, what is needed", self.alone("crop", 1, "parts")
        yield "blur, one task", self.alone("blur", 1, "parts")
        for number in numbers:
            for how, words in WORDS.items():
                yield f"blur, {number} tasks, {words}", [*self.alone("blur", number, how), self.join("blur", number)]
        yield "median, one task", self.alone("median", 1, "parts")
        for operation in ("blur", "median"):
            both = [*self.at_once(operation, 2, "parts"), self.join(operation, 2)]
            yield f"{operation}, 2 tasks at once on two processors, what is needed", both

    def row(self, name: str, found: dict[str, list[list[Took]]]) -> str:
        def median(of: list[float]) -> float:
            return statistics.median(of)

        joins = [one[-1].wall if len(one) > 1 else 0.0 for one in found[name]]
        bands = [one[:-1] if len(one) > 1 else one for one in found[name]]
        mine = [max(band.wall for band in one) for one in bands]
        first = next(other for other in found if other.split(",")[0] == name.split(",", maxsplit=1)[0])
        base = [one[0].wall for one in found[first]]
        total = median([sum(band.bytes for band in one) for one in bands])
        most = max(band.bytes for band in bands[0])
        gains = [one / (two + join) for one, two, join in zip(base, mine, joins, strict=True)]
        return (
            f"| {name} | {most / 1e6:.0f} | {total / 1e6:.0f} | {total / self.size:.2f} "
            f"| {median([max(band.fetch for band in one) for one in bands]):.1f} | {median(mine):.1f} "
            f"| {median([max(band.cpu for band in one) for one in bands]):.1f} "
            f"| {median(joins):.1f} | {median(gains):.2f} |"
        )

    def alone(self, operation: str, number: int, how: str) -> list[Took]:
        """Each band of so many after the other."""
        return [self.ended(self.begun(operation, f"{band}/{number}", how)) for band in range(number)]

    def at_once(self, operation: str, number: int, how: str) -> list[Took]:
        started = [
            self.begun(operation, f"{band}/{number}", how, self.processors[band % len(self.processors)])
            for band in range(number)
        ]
        return [self.ended(one) for one in started]

    def join(self, operation: str, number: int) -> Took:
        return self.ended(self.begun(operation, f"join/{number}", "parts"))

    def begun(self, operation: str, band: str, how: str, processor: int | None = None) -> "subprocess.Popen[str]":
        account = f"{self.endpoint}/task-{band.replace('/', '-of-')}"
        command = [*on(self.processors[0] if processor is None else processor), __file__]
        return subprocess.Popen([*command, "--work", account, operation, band, how], stdout=subprocess.PIPE, text=True)

    def ended(self, process: "subprocess.Popen[str]") -> Took:
        return Took(**json.loads(process.communicate(timeout=900)[0].splitlines()[-1]))


def work(endpoint: str, operation: str, band: str, how: str) -> None:
    """One task, after its imports; prints what it took."""
    from batchimg_worker.bands import BandStore
    from batchimg_worker.blob_names import result_path
    from batchimg_worker.documents import dump
    from batchimg_worker.memory import keep_freed_memory
    from batchimg_worker.pipeline import Pipeline, Places
    from batchimg_worker.storage import LONG, BlobStore
    from batchimg_worker.tiles import fetching, joining, process

    keep_freed_memory()
    if how == "whole":
        fetching.WORTH = 0.0
    assert process
    assert joining
    store = BlobStore(endpoint, KEY, patience=LONG)
    inputs, outputs, runs = (store.container(name) for name in ("inputs", "outputs", "runs"))
    number, _, of = band.partition("/")
    chunk = int(of) if number == "join" else int(number)
    entry = entry_of(inputs, number, int(of))
    places = Places(inputs, outputs, BandStore(runs, "run", chunk))
    before, started, used = brought(endpoint), time.perf_counter(), time.process_time()
    (record,) = Pipeline(spec(operation), places, threading.Event()).run(iter([entry]))
    took = {"wall": time.perf_counter() - started, "cpu": time.process_time() - used}
    if record.status != "done":
        raise SystemExit(record.message)
    if entry.band:
        runs.write(result_path("run", chunk), header(chunk) + b"\n" + dump(record))
    print(json.dumps(took | {"fetch": record.seconds.fetch, "bytes": brought(endpoint) - before}))


def entry_of(inputs: "Container", number: str, of: int) -> "ImageEntry":
    """What the task gets: all of the image, a band of it, or what joins its bands."""
    from batchimg_worker.contract import Band, ImageEntry

    blob = inputs.stat(NAME)
    assert blob
    if number == "join":
        return ImageEntry(path=NAME, size=blob.size, joins=tuple(range(of)))
    band = Band(number=int(number), of=of) if of > 1 else None
    return ImageEntry(path=NAME, size=blob.size, md5=blob.md5, band=band)


def spec(operation: str) -> "RunSpec":
    from batchimg_worker.contract import Limits, RunSpec, Source
    from batchimg_worker.recipe import recipe_from_ops

    return RunSpec(
        run="run", plan_hash="0", dataset="bench", created=datetime.now(UTC), client_version="0", images=1, bytes=1,
        chunks=1, rejected=0, source=Source(container="inputs", prefix=""),
        recipe=recipe_from_ops([OPERATIONS[operation]]), limits=Limits(tiles="always", max_megapixels=1e6),
    )  # fmt: skip


def header(chunk: int) -> bytes:
    """The first line of a result."""
    from batchimg_worker.contract import ResultHeader
    from batchimg_worker.documents import dump

    now = datetime.now(UTC)
    return dump(
        ResultHeader(
            run="run", chunk=chunk, worker_version="0", node="bench", started=now, finished=now, done=1, failed=0,
            bytes_in=1, bytes_out=1, peak_memory_bytes=1,
        )
    )  # fmt: skip


def brought(endpoint: str) -> int:
    with urlopen(f"{endpoint}?bytes") as answer:
        return int(answer.read())


if __name__ == "__main__":
    main()
