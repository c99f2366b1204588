"""`batchimg status` of a run of 1,000,000 images: seconds, processor seconds, requests. Everything is on this machine.

The run is synthetic: its results are written as a finished and half of them as a running worker would leave them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from batchimg.connect import Services, connect
from batchimg.local.running import find
from batchimg.parallel import in_parallel
from batchimg.settings import load_settings
from batchimg.watch import status
from batchimg_worker.blob_names import heartbeat_path, result_path, run_path
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat, Limits, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.recipe import DEFAULT_RECIPE, load_recipe

RUN = "million-0123456789"
BATCHIMG = Path(sys.executable).with_name("batchimg")
RUNNING = 500  # chunks at work, each with a heartbeat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=100, help="images a task")
    parser.add_argument("--times", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchimg-status-") as home:
        os.environ["BATCHIMG_HOME"] = home
        try:
            measure(chosen.images, chosen.chunk, chosen.times)
        finally:
            subprocess.run([BATCHIMG, "local", "down", "--delete"], check=True, stdout=subprocess.DEVNULL)


def measure(images: int, chunk: int, times: int) -> None:
    chunks = images // chunk
    with connect(load_settings()) as services:
        began = time.perf_counter()
        spec = write(services, chunks, chunk)
        print(f"{chunks:,} chunks written in {time.perf_counter() - began:.0f} s")
        asked: list[str] = []
        for client in (services.batch._client._config, services.store._service._config):  # noqa: SLF001
            client.logging_policy.on_request = lambda request: asked.append(request.http_request.url)
        began = time.perf_counter()
        seen = status(services, spec)
        print(f"{len(asked)} requests, {time.perf_counter() - began:.2f} s in a process that runs: {seen.done:,} done")
    seconds, processor, served = [], [], []
    for _ in range(times):
        before, began, of_services = (
            resource.getrusage(resource.RUSAGE_CHILDREN),
            time.perf_counter(),
            service_seconds(),
        )
        told = subprocess.run([BATCHIMG, "status", RUN, "--json"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(time.perf_counter() - began)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        served.append(service_seconds() - of_services)
        assert json.loads(told.stdout)["images"] == images
    print(f"batchimg status {RUN}: best {min(seconds):.2f} s of {times}")
    print(f"processor seconds: {min(processor):.2f} its own, {min(served):.2f} of Azurite and the emulator")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def service_seconds() -> float:
    """Processor seconds that Azurite and the emulator have used so far."""
    stack = find()
    pids = [stack.processes.azurite, stack.processes.batch] if stack else []
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def write(services: Services, chunks: int, images: int) -> RunSpec:
    now = datetime.now(UTC)
    spec = RunSpec(
        run=RUN,
        plan_hash="0" * 64,
        dataset="synthetic",
        created=now,
        client_version="0",
        source=Source(container="inputs", prefix="x/"),
        recipe=load_recipe(DEFAULT_RECIPE),
        limits=Limits(),
        images=chunks * images,
        bytes=1,
        chunks=chunks,
        rejected=0,
    )
    services.runs.write(run_path(RUN), dump(spec))

    def put(number: int) -> None:
        running = number >= chunks - RUNNING
        beat = Heartbeat(
            chunk=number,
            state="running" if running else "finished",
            done=images // 2 if running else images - 1,
            failed=0 if running else 1,
            total=images,
            bytes_in=10**8,
            bytes_out=10**8,
            node="tvm-0123456789_1-20261121t030555z",
            started=now - timedelta(seconds=300),
            updated=now,
            causes=None if running else {"DecodeError": 1},
        )
        path = heartbeat_path(RUN, number) if running else result_path(RUN, number)
        services.runs.write(path, b"", metadata={HEARTBEAT_METADATA: dump(beat).decode()})

    for _ in in_parallel(put, range(chunks), 8):
        pass
    return spec


if __name__ == "__main__":
    main()
