"""`make soak`: 100,000 tiny images through two nodes of a local stack, and what every process holds meanwhile.

A real submit, the emulator, Azurite, one worker on each node with one long chunk each (or more, `--chunk`). At the end
every image has one record, and no process but Azurite has grown since the middle of its life; Azurite keeps an index of
all blobs in memory, which is its own.
"""

import argparse
import json
import os
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from random import Random

from command_line import Command
from processes import Life, ancestors, command_of, watched

SIDES = (16, 32)
FOLDER_IMAGES = 1000
NOT_OURS = "Azurite"
SECONDS = 3 * 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--chunk", type=int, help="images a task; default: a half of all")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchimg-soak-") as scratch:
        folder = Path(scratch)
        make_images(folder / "tiny", chosen.images)
        command = Command(folder)
        started = time.monotonic()
        try:
            lives, status = run(command, folder / "tiny", chosen.chunk or -(-chosen.images // 2))
            faults = missing(command, status, chosen.images)
        finally:
            command("local", "down", "--delete")
    faults += [growth for life in lives if life.name != NOT_OURS and (growth := life.growth())]
    print(table(lives))
    print(f"\n{chosen.images:,} images in {time.monotonic() - started:,.0f} s; {len(faults)} faults")
    print("\n".join(f"- {fault}" for fault in faults))
    sys.exit(1 if faults else 0)


def make_images(folder: Path, count: int) -> None:
    """PNG of 16 to 32 pixels a side, no two alike."""
    random = Random(1)
    for number in range(count):
        if number % FOLDER_IMAGES == 0:
            part = folder / f"{number // FOLDER_IMAGES:04d}"
            part.mkdir(parents=True)
        (part / f"{number % FOLDER_IMAGES:04d}.png").write_bytes(tiny_png(random, number))


def tiny_png(random: Random, number: int) -> bytes:
    width, height = random.randint(*SIDES), random.randint(*SIDES)
    colour = number.to_bytes(3, "big")
    rows = b"".join(b"\0" + colour + random.randbytes(3) * (width - 1) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    made = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def run(command: Command, images: Path, chunk: int) -> tuple[list[Life], dict]:
    """Submit and wait, and look at every process."""
    nodes = {"BATCHIMG_LOCAL_NODES": "2", "BATCHIMG_LOCAL_SLOTS": "1"}
    command("local", "up", **nodes)
    stack = command.stack()["stack"]["processes"]
    names = {
        stack["supervisor"]: "supervisor",
        stack["azurite"]: NOT_OURS,
        stack["batch"]: "emulator",
        os.getpid(): None,
    }

    def name_of(pid: int, words: list[str]) -> str | None:
        if pid in names:
            return names[pid]
        above = ancestors(pid)
        if os.getpid() in above[:1]:
            return "submit"
        if stack["batch"] not in above or not any(word.endswith("batchimg-worker") for word in words[:3]):
            return None
        inner = "batchimg-worker" in command_of(above[0]) and above[0] != stack["batch"]
        return ("ledger" if "--ledger" in words else "worker") + ("" if inner else "'s guard")

    with watched(name_of) as lives:
        options = ("--op", "thumbnail=12", "--recipe", "measure", "--chunk-images", chunk)
        submit = command.start(
            "submit", "--dataset", images, "--canary", "never", "--wait", "--json", *map(str, options), **nodes
        )
        output, errors = submit.communicate(timeout=SECONDS)
        assert submit.returncode == 0, f"exit {submit.returncode}\n{output[-2000:]}\n{errors[-2000:]}"
    return sorted(lives.values(), key=lambda life: (life.name, life.pid)), json.loads(output.strip().splitlines()[-1])


def missing(command: Command, status: dict, count: int) -> list[str]:
    """Images that have no record, or several."""
    ledger = command.home / "ledger.csv"
    ledger.write_text(command("ledger", status["run"], "--csv").stdout)
    lines = ledger.read_text().splitlines()
    column = lines[0].split(",").index("path")
    records = Counter(line.split(",")[column] for line in lines[1:])
    often = sum(number != 1 for number in records.values())
    faults = [f"{len(records):,} of {count:,} images have a record"] if len(records) != count else []
    return faults + ([f"{often:,} images have several records"] if often else [])


def table(lives: list[Life]) -> str:
    rows = [
        "| process | seconds | MB in the middle | MB at the end | most MB | open files, middle and end |",
        "|---|---|---|---|---|---|",
    ]
    for life in lives:
        seconds = life.samples[-1].at - life.samples[0].at
        if not life.long_enough:
            rows.append(f"| {life.name} | {seconds:.0f} | | | {life.peak():.0f} | |")
            continue
        before, after = life.descriptors()
        memory = f"{life.middle():.1f} | {life.end():.1f} | {life.peak():.1f}"
        rows.append(f"| {life.name} | {seconds:.0f} | {memory} | {before}, {after} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
