"""`python benchmarks/emulator.py`: how fast the Azure Batch emulator is, and how much memory a million tasks take.

Everything is measured in one run on one machine: compare rows, and ratios, not the numbers of two machines.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError

SLOTS = 8
PROGRAM = "/bin/true"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    what: str
    result: str
    compared: str


@dataclass
class Emulator:
    process: subprocess.Popen
    ready: dict

    def client(self) -> BatchClient:
        credential = AzureNamedKeyCredential(self.ready["account"], self.ready["key"])
        return BatchClient(self.ready["endpoint"], credential)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name: str = "VmHWM") -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024

    @contextmanager
    def watched(self) -> Iterator["Watch"]:
        """Ask for its health all the time, from another process: the longest answer is the longest stall."""
        command = [sys.executable, "-c", WATCH, self.ready["endpoint"].removeprefix("http://")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield Watch(process)
            process.stdin.close()


WATCH = """
import http.client, sys, threading, time
longest = 0.0
def look():
    global longest
    connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
    while True:
        before = time.perf_counter()
        connection.request("GET", "/healthz"); connection.getresponse().read()
        longest = max(longest, time.perf_counter() - before)
        time.sleep(0.01)
threading.Thread(target=look, daemon=True).start()
for line in sys.stdin:
    print(longest, flush=True); longest = 0.0
"""


@dataclass
class Watch:
    process: subprocess.Popen

    def longest(self) -> float:
        """Seconds of the longest stall since this was asked last."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def emulator(*options: str) -> Iterator[Emulator]:
    with tempfile.TemporaryDirectory(prefix="batch-emulator-bench-") as folder:
        path = Path(folder) / "ready.json"
        where = ("--data-dir", f"{folder}/state")
        command = [sys.executable, "-m", "batch_emulator", "start", "--quiet", "--ready-file", str(path), *where]
        process = subprocess.Popen([*command, "--node-delay", "0.01", *options], stdout=subprocess.DEVNULL)
        try:
            while not path.exists():
                if process.poll() is not None:
                    sys.exit("the emulator did not start")
                time.sleep(0.02)
            yield Emulator(process, json.loads(path.read_text()))
        finally:
            process.terminate()
            process.wait(20)


def specs(count: int, command: str = PROGRAM) -> Iterator[models.BatchTaskCreateOptions]:
    file = models.ResourceFile(http_url="http://127.0.0.1:1/manifest.jsonl", file_path="manifest.jsonl")
    files = None if command == PROGRAM else [file]
    for number in range(count):
        yield models.BatchTaskCreateOptions(id=str(number), command_line=command, resource_files=files)


def add(client: BatchClient, job_id: str, count: int, command: str = PROGRAM) -> float:
    """Seconds that the SDK takes to send `count` tasks; making their models is not counted."""
    seconds, tasks = 0.0, specs(count, command)
    while chunk := list(islice(tasks, 20_000)):
        before = time.perf_counter()
        client.create_tasks(job_id, chunk, max_concurrency=4)
        seconds += time.perf_counter() - before
    return seconds


def job(client: BatchClient, job_id: str, pool_id: str) -> None:
    client.create_job(models.BatchJobCreateOptions(id=job_id, pool_info=models.BatchPoolInfo(pool_id=pool_id)))


def wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not done within {seconds:.0f} seconds")
        time.sleep(0.05)


def bare(count: int) -> float:
    """Programs a second that Python's own subprocess module starts and waits for, with as many at once."""
    running: list[subprocess.Popen] = []
    before = time.perf_counter()
    for _ in range(count):
        running.append(subprocess.Popen([PROGRAM], stdout=subprocess.DEVNULL, start_new_session=True))
        if len(running) == SLOTS:
            running.pop(0).wait()
    for process in running:
        process.wait()
    return count / (time.perf_counter() - before)


def real_tasks(count: int) -> list[Row]:
    floor = bare(count // 5)
    with emulator() as server, server.client() as client:
        machine = models.VirtualMachineConfiguration(
            image_reference=models.BatchVmImageReference(publisher="canonical", offer="o", sku="s"),
            node_agent_sku_id="batch.node.ubuntu 24.04",
        )
        client.create_pool(
            models.BatchPoolCreateOptions(
                id="p",
                vm_size="STANDARD_D2_V3",
                virtual_machine_configuration=machine,
                target_dedicated_nodes=2,
                task_slots_per_node=SLOTS // 2,
            )
        )
        job(client, "j", "p")
        client.begin_disable_job(
            "j", models.BatchJobDisableOptions(disable_tasks="wait"), polling_interval=0.1
        ).result()
        add(client, "j", count)
        before, used = time.perf_counter(), server.cpu()
        client.begin_enable_job("j")
        wait(lambda: client.get_job_task_counts("j").task_counts.completed == count, 300)
        seconds = time.perf_counter() - before
        used = (server.cpu() - used) / seconds
    floor = (floor + bare(count // 5)) / 2
    rate = count / seconds
    return [
        Row(
            f"{count:,} tasks `{PROGRAM}` on {SLOTS} slots, journal on",
            f"{rate:,.0f} tasks/s",
            f"{rate / floor:.2f} × subprocess.Popen alone ({floor:,.0f}/s), server at {used:.0%} of a core",
        )
    ]


def submission(count: int) -> list[Row]:
    with emulator() as server, server.client() as client:
        job(client, "j", "none")
        used = server.cpu()
        seconds = add(client, "j", count, "/bin/sh -c 'batchimg-worker manifest.jsonl'")
        used = (server.cpu() - used) / seconds
    return [
        Row(
            f"{count:,} tasks with a resource file added by the SDK, 4 calls at once",
            f"{count / seconds:,.0f} tasks/s",
            f"server at {used:.0%} of a core: the client is the limit while this is below 100%",
        )
    ]


def many(count: int) -> list[Row]:
    with emulator() as server, server.client() as client, server.watched() as watch:

        def seen() -> str:
            return f"longest stall {watch.longest() * 1000:.0f} ms, {server.memory('VmRSS'):,.0f} MB"

        job(client, "j", "none")
        rows = []
        seconds = add(client, "j", count)
        rows.append(Row(f"{count:,} tasks added by the SDK", f"{count / seconds:,.0f} tasks/s", seen()))
        rows.append(Row("counted", f"{_counting(client):.1f} ms", "the same for any number of tasks"))
        before = time.perf_counter()
        listed = sum(1 for _ in client.list_tasks("j", select=["id", "state"]))
        seconds = time.perf_counter() - before
        rows.append(Row(f"{listed:,} listed with $select", f"{listed / seconds:,.0f} tasks/s", seen()))
        before = time.perf_counter()
        client.begin_delete_job("j")
        wait(lambda: _is_gone(client), 120)
        seconds = time.perf_counter() - before
        time.sleep(3)
        rows.append(Row("deleted", f"{seconds:.2f} s", seen()))
        peak = server.memory()
        rows.append(
            Row("memory of the server", f"{peak:,.0f} MB", f"{peak * 2**20 / count:,.0f} bytes a task, at most")
        )
    return rows


def _counting(client: BatchClient, times: int = 20) -> float:
    before = time.perf_counter()
    for _ in range(times):
        client.get_job_task_counts("j")
    return (time.perf_counter() - before) / times * 1000


def _is_gone(client: BatchClient) -> bool:
    try:
        client.get_job("j")
    except ResourceNotFoundError:
        return True
    return False


def table(rows: list[Row]) -> str:
    lines = ["| What | Result | Compared |", "|---|---|---|"]
    return "\n".join(lines + [f"| {row.what} | {row.result} | {row.compared} |" for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", choices=("real", "submission", "many"), help="one part")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    part = 10 if chosen.quick else 1
    parts = {
        "real": lambda: real_tasks(10_000 // part),
        "submission": lambda: submission(50_000 // part),
        "many": lambda: many(1_000_000 // part),
    }
    print(table([row for name, run in parts.items() if chosen.only in (None, name) for row in run()]))


if __name__ == "__main__":
    main()
