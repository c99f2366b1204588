"""The ledger of a large run: rows a second and memory of the merge, and how long a retry takes to plan.

The results are made up as they are read, so that ten million of them need no disk; the retry is the installed
command against a local stack of its own, with a ledger of `--images` images of which one in a hundred failed.

    python benchmarks/ledger.py --rows 10000000 --images 1000000
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from batchimg_worker.blob_names import result_path, run_path
from batchimg_worker.contract import (
    HEARTBEAT_METADATA,
    Attempt,
    Heartbeat,
    ImageResult,
    Limits,
    Output,
    ResultHeader,
    RunSpec,
    Source,
    StageSeconds,
)
from batchimg_worker.documents import dump
from batchimg_worker.ledger import find, merge, publish
from batchimg_worker.recipe import load_recipe
from batchimg_worker.storage import Blob, BlobStore, Container

CHUNK = 2_000
BATCHIMG = Path(sys.executable).with_name("batchimg")
MD5 = "1" * 32  # replaced by another one for each image
SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec_of(run: str, images: int) -> RunSpec:
    return RunSpec(
        run=run,
        plan_hash="0" * 64,
        dataset="a benchmark",
        created=NOW,
        client_version="0",
        source=Source(container="inputs", prefix="benchmark/"),
        recipe=load_recipe("augment"),
        limits=Limits(),
        images=images,
        bytes=images,
        chunks=-(-images // CHUNK),
        rejected=0,
    )


class MadeUp(Container):
    """A container whose results are made when they are read: five pictures an image, one in a hundred failed."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        outputs = tuple(
            Output(variant=one.name, path="PATH", size=123_456, md5=MD5, width=640, height=480)
            for one in spec.recipe.variants
        )
        seconds = StageSeconds(fetch=0.012345, decode=0.023456, compute=0.1, encode=0.2, put=0.034567)
        common = {"path": "PATH", "size": 200_000, "md5": MD5, "attempt": 1, "peak_memory_bytes": 10**8}
        self._done = dump(
            ImageResult(**common, status="done", width=640, height=480, outputs=outputs, seconds=seconds)
        ).decode()
        self._failed = dump(
            ImageResult(**common, status="failed", error_type="DecodeError", message="PATH is cut short at byte 1000")
        ).decode()

    def list(self, prefix: str = "", *, metadata: bool = False) -> Iterator[Blob]:
        del metadata
        if prefix.endswith("/results/"):
            for chunk in range(self._spec.chunks):
                yield Blob(result_path(self._spec.run, chunk), CHUNK * len(self._done), None, str(chunk))

    def read(self, path: str) -> bytes:
        chunk = int(Path(path).stem)
        numbers = range(chunk * CHUNK, min((chunk + 1) * CHUNK, self._spec.images))
        lines = [
            (self._done if number % 100 else self._failed)
            .replace("PATH", f"folder-{chunk:05d}/image-{number:08d}.jpg")
            .replace(MD5, f"{number * SPREAD % (1 << 128):032x}")
            for number in numbers
        ]
        return dump(header(self._spec.run, chunk, len(numbers))) + b"\n" + "\n".join(lines).encode()


def header(run: str, chunk: int, images: int) -> ResultHeader:
    return ResultHeader(
        run=run,
        chunk=chunk,
        worker_version="0",
        node="node-1",
        started=NOW,
        finished=NOW,
        done=images - images // 100,
        failed=images // 100,
        bytes_in=1,
        bytes_out=1,
        peak_memory_bytes=10**8,
        attempts=(Attempt(number=1, job=run, node="node-1", worker_version="0", started=NOW),),
    )


def merge_alone(rows: int) -> None:
    """Print rows a CPU second without what making them up takes, peak memory and the file's size."""
    spec = spec_of("benchmark", rows)
    container = MadeUp(spec)
    began = time.process_time()
    for chunk in range(spec.chunks):
        container.read(result_path(spec.run, chunk))
    making = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.parquet"
        began = time.process_time()
        merged = merge(container, spec, file, over=True)
        seconds = time.process_time() - began
        assert sum(merged.rows.values()) == rows
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {rows:,} rows merged | {rows / max(seconds - making, 0.001):,.0f} rows a CPU second "
            f"| {peak:,.0f} | file of {file.stat().st_size / 1e6:,.0f} MB |",
            flush=True,
        )


def retry(images: int) -> None:
    """A run of which one image in a hundred failed, and the time that `batchimg retry --plan` takes."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "BATCHIMG_HOME": home}
        command(environment, "local", "up")
        try:
            stack = json.loads(command(environment, "local", "status", "--json", "--keys"))["stack"]
            run = store_run(BlobStore(stack["blob_endpoint"], stack["storage_key"]), images)
            began = time.perf_counter()
            plan = json.loads(command(environment, "retry", run, "--plan", "--json"))
            seconds = time.perf_counter() - began
        finally:
            command(environment, "local", "down", "--delete")
    assert plan["images"] == -(-images // 100), plan
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"| retry of {images:,} images, 99 % done, planned | {seconds:.1f} s | {peak:,.0f} | {plan['images']:,} again |"
    )


def store_run(store: BlobStore, images: int) -> str:
    """A run that is over, as blob storage shows it, with all of its results and its ledger."""
    spec = spec_of("benchmark-0123456789", images)
    runs, content = store.container("runs"), MadeUp(spec)
    runs.write(run_path(spec.run), dump(spec))
    for chunk in range(spec.chunks):
        beat = Heartbeat(
            chunk=chunk,
            state="finished",
            done=CHUNK - CHUNK // 100,
            failed=CHUNK // 100,
            total=CHUNK,
            bytes_in=1,
            bytes_out=1,
            node="node-1",
            started=NOW,
            updated=NOW,
        )
        result = content.read(result_path(spec.run, chunk))
        runs.write(result_path(spec.run, chunk), result, metadata={HEARTBEAT_METADATA: dump(beat).decode()})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.parquet"
        merged = merge(content, spec, file, over=True)
        merged = type(merged)(merged.rows, find(runs, spec.run).fingerprint)
        publish(runs, spec.run, file, merged)
    store.close()
    return spec.run


def command(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [BATCHIMG, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=600
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--merge-alone", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.merge_alone:
        merge_alone(chosen.rows)
        return
    print("| what | time | peak MB | |\n|---|---|---|---|", flush=True)
    subprocess.run([sys.executable, __file__, "--merge-alone", "--rows", str(chosen.rows)], check=True)
    retry(chosen.images)


if __name__ == "__main__":
    main()
