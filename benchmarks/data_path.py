"""`make bench`: what blob storage costs a worker: latency, CPU, slots, start, memory over many images.

A small server here stands for blob storage: it holds blobs in memory and answers after a given time, in a process of
its own. The worker's own pipeline does the default recipe against it, and again with containers in memory: that is the
ceiling. CPU is that of the worker's process, user and system.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchimg_worker.contract import RunSpec

LATENCY = 0.020
ROUNDS = 3
KEY = "a2V5"
ACCOUNT = "bench"
SIDE = (912, 1368)  # 1.25 megapixels, some 280 KB
MEMORY_CHECKS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60, help="images of 1.25 MP a round (default 60)")
    parser.add_argument("--thumbnails", type=int, default=1000, help="images of 64 to 512 pixels (default 1,000)")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=4, metavar=("KIND", "FOLDER", "ENDPOINT", "COUNT"), help=argparse.SUPPRESS)
    parser.add_argument("--first-fetch", metavar="ENDPOINT", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        asyncio.run(serve(chosen.serve))
    elif chosen.first_fetch:
        first_fetch(chosen.first_fetch)
    elif chosen.work:
        work(*chosen.work)
    else:
        print(compared(chosen.images, chosen.thumbnails))


def compared(images: int, thumbnails: int) -> str:
    with tempfile.TemporaryDirectory(prefix="batchimg-bench-") as scratch:
        photos, small = make_photos(Path(scratch) / "photos"), make_small(Path(scratch) / "small")
        with server(LATENCY) as endpoint:
            ceiling, blob, client, pairs = [], [], [], []
            for _ in range(ROUNDS):
                ceiling += run_all("memory", photos, endpoint, [images])
                blob += run_all("blob", photos, endpoint, [images])
                client += run_all("client", photos, endpoint, [images])
                pairs.append(run_all("blob", photos, endpoint, [images, images]))
            flat = run_all("blob", small, endpoint, [thumbnails])[0]
            starts = [started(endpoint) for _ in range(ROUNDS)]
    return table(Measured(images, ceiling, blob, client, pairs, flat, starts))


@dataclass(frozen=True)
class Measured:
    images: int
    ceiling: list[dict[str, float]]
    blob: list[dict[str, float]]
    client: list[dict[str, float]]
    pairs: list[list[dict[str, float]]]
    small: dict[str, float]
    starts: list[float]

    def operation(self, runs: list[dict[str, float]]) -> float:
        """Milliseconds of CPU of a blob operation: five puts and a get an image."""
        extra = [one["cpu"] - without["cpu"] for one, without in zip(runs, self.ceiling, strict=True)]
        return statistics.median(extra) / self.images / 6 * 1000


def table(found: Measured) -> str:
    def rate(runs: list[dict[str, float]]) -> float:
        return statistics.median(one["images"] / one["wall"] for one in runs)

    one, top, small = rate(found.blob), rate(found.ceiling), found.small
    both = statistics.median(sum(run["images"] for run in two) / max(run["wall"] for run in two) for two in found.pairs)
    rows = [
        (f"{found.images} images of 1.25 MP at {LATENCY * 1000:.0f} ms", f"{one:.1f} images/s"),
        ("of the ceiling, blobs in memory", f"{one / top:.0%} of {top:.1f} images/s"),
        ("the same with the blob client alone", f"{rate(found.client) / top:.0%}"),
        ("CPU of one blob operation", f"{found.operation(found.blob):.2f} ms"),
        ("the same with the blob client alone", f"{found.operation(found.client):.2f} ms"),
        ("two slots at once", f"{both:.1f} images/s, {both / one / 2:.2f} × two times one slot"),
        ("start of the process to its first fetch", f"{statistics.median(found.starts):.2f} s"),
        (f"{small['images']:,.0f} images of 64 to 512 px", f"{small['images'] / small['wall']:.0f} images/s"),
        ("CPU of one of them", f"{small['cpu'] / small['images'] * 1000:.1f} ms"),
        ("memory over them", f"{small['early_mb']:.0f} MB after a tenth, {small['peak_mb']:.0f} MB at the end"),
    ]
    return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {result} |" for what, result in rows)])


def run_all(kind: str, folder: Path, endpoint: str, counts: list[int]) -> list[dict[str, float]]:
    """One process for each count, all at once."""
    command = [sys.executable, __file__, "--work", kind, str(folder), endpoint]
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
    from batchimg_worker.pipeline import Pipeline
    from batchimg_worker.storage import LONG, BlobStore

    keep_freed_memory()
    files = {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
    if kind == "memory":
        inputs = outputs = InMemory(files)
    else:
        store = BlobStore(f"{endpoint}/{ACCOUNT}", KEY, patience=LONG)
        inputs, outputs = store.container("inputs"), store.container("outputs")
        if kind == "client":
            inputs._direct = outputs._direct = None  # noqa: SLF001 - to compare with
        for name, content in files.items():
            inputs.write(name, content)
    several = [ImageEntry(path=name, size=len(content)) for name, content in files.items()]
    entries = [several[number % len(several)] for number in range(int(count))]
    list(Pipeline(spec(), inputs, outputs, threading.Event()).run(iter(several[:4])))
    wall, cpu, early = time.perf_counter(), time.process_time(), 0.0
    for number, record in enumerate(Pipeline(spec(), inputs, outputs, threading.Event()).run(iter(entries))):
        assert record.status == "done", record.message
        if number == len(entries) // MEMORY_CHECKS:
            early = peak_mb()
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "images": len(entries)}
    print(json.dumps(found | {"early_mb": early, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
def server(latency: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def request(reader: asyncio.StreamReader) -> tuple[str, str, bool, bytes]:
    """Method, path, whether a part is wanted, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, path.partition("?")[0], "x-ms-range" in headers, body


async def serve(latency: float) -> None:
    """Blob storage as far as one worker needs it; prints its port."""
    blobs: dict[str, bytes] = {}
    about = 'ETag: "0x1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-ms-blob-type: BlockBlob\r\n'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, path, part, body = await request(reader)
                await asyncio.sleep(latency)
                writer.writelines(response(method, path, body, part))
                await writer.drain()
        writer.close()

    def response(method: str, path: str, body: bytes, part: bool) -> list[bytes]:
        if method == "PUT":
            if "/outputs/" not in path:
                blobs[path] = body
            return [f"HTTP/1.1 201 Created\r\n{about}Content-Length: 0\r\n\r\n".encode()]
        content = blobs.get(path)
        if content is None:
            return [b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nContent-Length: 0\r\n\r\n"]
        size = f"Content-Length: {len(content)}\r\n"
        if method == "HEAD" or not part:
            content = b"" if method == "HEAD" else content
            return [f"HTTP/1.1 200 OK\r\n{about}{size}\r\n".encode(), content]
        whole = f"Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n"
        return [f"HTTP/1.1 206 Partial Content\r\n{about}{whole}{size}\r\n".encode(), content]

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
