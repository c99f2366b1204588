"""`make bench`: what blob storage costs a worker: latency, CPU, slots, start, memory over many images.

A small server here stands for blob storage: it holds blobs in memory and answers after a given time, in a process of
its own. The worker's own pipeline does the default recipe against it, and again with containers in memory: that is the
ceiling. CPU is that of the worker's process, user and system.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchimg_worker.contract import RunSpec

LATENCY = 0.020
ROUNDS = 3
SLOTS = 2
Took = dict[str, float]
KEY = "a2V5"
ACCOUNT = "bench"
SIDE = (912, 1368)  # 1.25 megapixels, some 280 KB
MEMORY_CHECKS = 10
LARGE_IMAGES = 8
LARGE = {
    "JPEG, in planes": ("jpeg", 8),
    "JPEG of odd sides, in RGB": ("jpeg", 8),
    "PNG with the noise of a camera": ("png", 8),
    "TIFF of 16 bits": ("tiff", 16),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60, help="images of 1.25 MP a round (default 60)")
    parser.add_argument("--thumbnails", type=int, default=1000, help="images of 64 to 512 pixels (default 1,000)")
    parser.add_argument("--large", action="store_true", help="instead: the memory that images of 24 MP take, by kind")
    parser.add_argument("--work", nargs=4, metavar=("KIND", "FOLDER", "ENDPOINT", "COUNT"), help=argparse.SUPPRESS)
    parser.add_argument("--first-fetch", metavar="ENDPOINT", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.first_fetch:
        first_fetch(chosen.first_fetch)
    elif chosen.large:
        print(large())
    elif chosen.work:
        work(*chosen.work)
    else:
        print(compared(chosen.images, chosen.thumbnails))


def compared(images: int, thumbnails: int) -> str:
    with tempfile.TemporaryDirectory(prefix="batchimg-bench-") as scratch:
        photos, small = make_photos(Path(scratch) / "photos"), make_small(Path(scratch) / "small")
        with server(LATENCY) as endpoint:
            upload(photos, endpoint)
            upload(small, endpoint)
            ceiling, blob, client, pairs = [], [], [], []
            for _ in range(ROUNDS):
                ceiling += run_all("memory", photos, endpoint, [images])
                blob += run_all("blob", photos, endpoint, [images])
                client += run_all("client", photos, endpoint, [images])
                pairs.append(run_all("blob", photos, endpoint, [images] * SLOTS))
            flat = run_all("blob", small, endpoint, [thumbnails])[0]
            starts = [started(endpoint) for _ in range(ROUNDS)]
        apart, nodes = shares_of_a_processor(photos, images), share_of_two_nodes(photos, images)
    return table(Measured(images, ceiling, blob, client, pairs, flat, starts, apart, nodes))


def large() -> str:
    """Peak memory of a worker over a few images of 24 MP, of each kind."""
    lines = ["| 6000 x 4000 | MB each | peak MB | CPU seconds an image |", "|---|---|---|---|"]
    for kind in LARGE:
        with tempfile.TemporaryDirectory(prefix="batchimg-bench-") as scratch, server(LATENCY) as endpoint:
            folder = make_large(Path(scratch) / "large", kind)
            upload(folder, endpoint)
            size = statistics.mean(file.stat().st_size for file in folder.iterdir()) / 1e6
            took = run_all("blob", folder, endpoint, [LARGE_IMAGES])[0]
        lines.append(f"| {kind} | {size:.0f} | {took['peak_mb']:.0f} | {took['cpu'] / LARGE_IMAGES:.1f} |")
    return "\n".join(lines)


def shares_of_a_processor(photos: Path, images: int) -> list[float]:
    """Of the ceiling, for a slot that has one processor and no more, as on a node that is full; the server has another.

    Empty where processors cannot be chosen, or there is one only.
    """
    chosen = sorted(os.sched_getaffinity(0)) if shutil.which("taskset") else []
    if len(chosen) < 2:
        return []
    shares = []
    with server(LATENCY, chosen[1]) as endpoint:
        upload(photos, endpoint)
        for _ in range(ROUNDS):
            top = run_all("memory", photos, endpoint, [images], chosen[0])[0]
            one = run_all("blob", photos, endpoint, [images], chosen[0])[0]
            shares.append(top["wall"] / one["wall"])
    return shares


def share_of_two_nodes(photos: Path, images: int) -> list[float]:
    """Two slots and the server on two processors, against twice what a slot and a server do on one of them.

    In `Measured.pairs` one slot has the second processor's help: the server works there. Empty as above.
    """
    chosen = sorted(os.sched_getaffinity(0)) if shutil.which("taskset") else []
    if len(chosen) != SLOTS:
        return []
    shares = []
    for _ in range(ROUNDS):
        with server(LATENCY, chosen[0]) as endpoint:
            upload(photos, endpoint)
            one = run_all("blob", photos, endpoint, [images], chosen[0])[0]
        with server(LATENCY) as endpoint:
            upload(photos, endpoint)
            two = run_all("blob", photos, endpoint, [images] * SLOTS)
        shares.append(one["wall"] / max(run["wall"] for run in two))
    return shares


@dataclass(frozen=True)
class Measured:
    images: int
    ceiling: list[Took]
    blob: list[Took]
    client: list[Took]
    pairs: list[list[Took]]
    small: dict[str, float]
    starts: list[float]
    apart: list[float]
    nodes: list[float]

    def operation(self, runs: list[Took]) -> float:
        """Milliseconds of CPU of a blob operation: five puts and a get an image."""
        extra = [one["cpu"] - without["cpu"] for one, without in zip(runs, self.ceiling, strict=True)]
        return statistics.median(extra) / self.images / 6 * 1000


def table(found: Measured) -> str:
    def rate(runs: list[Took]) -> float:
        return statistics.median(one["images"] / one["wall"] for one in runs)

    one, top, small = rate(found.blob), rate(found.ceiling), found.small
    both = statistics.median(sum(run["images"] for run in two) / max(run["wall"] for run in two) for two in found.pairs)
    slots = ("two slots at once", f"{both:.1f} images/s, {both / one / 2:.2f} × two times one slot")
    rows = [
        (f"{found.images} images of 1.25 MP at {LATENCY * 1000:.0f} ms", f"{one:.1f} images/s"),
        ("of the ceiling, blobs in memory", f"{one / top:.0%} of {top:.1f} images/s"),
        ("the same with the blob client alone", f"{rate(found.client) / top:.0%}"),
        ("CPU of one blob operation", f"{found.operation(found.blob):.2f} ms"),
        ("the same with the blob client alone", f"{found.operation(found.client):.2f} ms"),
        slots,
        ("start of the process to its first fetch", f"{statistics.median(found.starts):.2f} s"),
        (f"{small['images']:,.0f} images of 64 to 512 px", f"{small['images'] / small['wall']:.0f} images/s"),
        ("CPU of one of them", f"{small['cpu'] / small['images'] * 1000:.1f} ms"),
        ("memory over them", f"{small['early_mb']:.0f} MB after a tenth, {small['peak_mb']:.0f} MB at the end"),
    ]
    if found.apart:
        rows.insert(
            2, ("the same, a processor for the slot, one for the server", f"{statistics.median(found.apart):.0%}")
        )
    if found.nodes:
        told = f"{statistics.median(found.nodes):.2f} × two times one slot with its server on one"
        rows.insert(rows.index(slots) + 1, ("the same, two slots with the server on two processors", told))
    return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {result} |" for what, result in rows)])


def upload(folder: Path, endpoint: str) -> None:
    """Put a folder's files into a container of its name."""
    from batchimg_worker.storage import BlobStore

    container = BlobStore(f"{endpoint}/{ACCOUNT}", KEY).container(folder.name)
    for file in folder.iterdir():
        container.write(file.name, file.read_bytes())


def on(processor: int | None) -> list[str]:
    """Python's command line, bound to one processor."""
    return [*([] if processor is None else ["taskset", "--cpu-list", str(processor)]), sys.executable]


def run_all(kind: str, folder: Path, endpoint: str, counts: list[int], processor: int | None = None) -> list[Took]:
    """One process for each count, all at once."""
    command = [*on(processor), __file__, "--work", kind, str(folder), endpoint]
    running = [subprocess.Popen([*command, str(count)], stdout=subprocess.PIPE, text=True) for count in counts]
    texts = [one.communicate(timeout=1800)[0] for one in running]
    return [json.loads(text.splitlines()[-1]) for text in texts]


def started(endpoint: str) -> float:
    began = time.time()
    command = [sys.executable, __file__, "--first-fetch", endpoint]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout) - began


def first_fetch(endpoint: str) -> None:
    """What a task does up to its first original, with the same imports; prints the time."""
    from batchimg_worker.memory import keep_freed_memory
    from batchimg_worker.pipeline import Pipeline
    from batchimg_worker.storage import LONG, BlobStore
    from batchimg_worker.task import run_task

    keep_freed_memory()
    assert run_task
    assert Pipeline
    store = BlobStore(f"{endpoint}/{ACCOUNT}", KEY, patience=LONG)
    store.container("runs").stat("run/results/00000.jsonl")
    store.container("runs").write("run/run.json", b"{}")
    store.container("runs").read("run/run.json")
    print(time.time())


def work(kind: str, folder: str, endpoint: str, count: str) -> None:
    """One slot: the pipeline over ``count`` images, the files of the folder in turn; prints what it took."""
    from batchimg_worker.contract import ImageEntry
    from batchimg_worker.memory import keep_freed_memory
    from batchimg_worker.pipeline import Pipeline, Places
    from batchimg_worker.storage import LONG, BlobStore

    keep_freed_memory()
    files = sorted(Path(folder).iterdir())
    if kind == "memory":
        inputs = outputs = InMemory({file.name: file.read_bytes() for file in files})
    else:
        store = BlobStore(f"{endpoint}/{ACCOUNT}", KEY, patience=LONG)
        inputs, outputs = store.container(Path(folder).name), store.container("outputs")
        if kind == "client":
            inputs._direct = outputs._direct = None  # noqa: SLF001 - to compare with
    several = [ImageEntry(path=file.name, size=file.stat().st_size) for file in files]
    entries = [several[number % len(several)] for number in range(int(count))]
    list(Pipeline(spec(), Places(inputs, outputs), threading.Event()).run(iter(several[:4])))
    wall, cpu, early = time.perf_counter(), time.process_time(), 0.0
    for number, record in enumerate(Pipeline(spec(), Places(inputs, outputs), threading.Event()).run(iter(entries))):
        assert record.status == "done", record.message
        if number == len(entries) // MEMORY_CHECKS:
            early = peak_mb()
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "images": len(entries)}
    print(json.dumps(found | {"early_mb": early, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    from batchimg_worker.node import peak_memory_bytes

    return peak_memory_bytes() / 2**20


class InMemory:
    """A container without storage."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read(self, path: str) -> bytes:
        return self._files[path]

    def write(self, path: str, content: bytes, *, md5: bytes | None = None) -> None:
        """Forget it."""


def spec() -> "RunSpec":
    from batchimg_worker.contract import Limits, RunSpec, Source
    from batchimg_worker.recipe import load_recipe

    return RunSpec(
        run="run", plan_hash="0", dataset="bench", created=datetime.now(UTC), client_version="0", images=1, bytes=1,
        chunks=1, rejected=0, source=Source(container="inputs", prefix=""), recipe=load_recipe("augment"),
        limits=Limits(),
    )  # fmt: skip


def make_photos(folder: Path) -> Path:
    import numpy as np

    from batchimg_worker.codec import Picture, encode
    from worker import SEED, SOURCES, photo

    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    for number, name in enumerate(SOURCES):
        data = encode(Picture(photo(name, random, SIDE), "jpeg", 8), "jpeg", quality=95).data
        (folder / f"{number}.jpg").write_bytes(data)
    return folder


def make_large(folder: Path, kind: str) -> Path:
    import numpy as np

    from batchimg_worker.codec import Picture, encode
    from worker import SEED, SOURCES, photo

    folder.mkdir(parents=True)
    format_, bits = LARGE[kind]
    random = np.random.default_rng(SEED)
    for number, name in enumerate(SOURCES[:3]):
        array = photo(name, random, (4000, 6000))
        if "odd" in kind:
            array = np.ascontiguousarray(array[1:, 1:])
        if bits == 16:
            array = array.astype(np.uint16) * np.uint16(257)
        data = encode(Picture(array, format_, bits), format_, quality=95).data
        (folder / f"{number}.{format_}").write_bytes(data)
    return folder


def make_small(folder: Path) -> Path:
    import numpy as np

    from batchimg_worker.codec import Picture, encode
    from worker import SEED, SMALL_SIDES, SOURCES, photo

    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    large = [photo(name, random, SIDE) for name in SOURCES]
    for number in range(200):
        height, width = random.integers(SMALL_SIDES[0], SMALL_SIDES[1], 2, endpoint=True)
        array = np.ascontiguousarray(large[number % len(large)][:height, :width])
        (folder / f"{number:04d}.jpg").write_bytes(encode(Picture(array, "jpeg", 8), "jpeg").data)
    return folder


@contextmanager
def server(latency: float, processor: int | None = None, megabytes: float = 0) -> Iterator[str]:
    """``megabytes`` a second is the bandwidth of each account, 0 for any."""
    command = [*on(processor), str(Path(__file__).with_name("blob_server.py")), str(latency), str(megabytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
