"""`make bench`: whole runs on the local stack, with their speed and the peak memory of every process.

Two folders go through the default recipe: 1,000 images of 64×64, and a few large photos (made here by enlarging
and disturbing scikit-image's own, or yours with --photos DIR). Times are of this machine; compare rows of one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

BATCHIMG = Path(sys.executable).with_name("batchimg")
SEED = 7
LARGE_PHOTOS = 4
LARGE_SHAPE = (4000, 6000)
TINY_IMAGES = 1000


@dataclass(frozen=True)
class Row:
    name: str
    images: int
    megapixels: float
    seconds: float
    orchestrator_mb: float
    worker_mb: float
    chunks: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of your own large photos")
    parser.add_argument("--make", nargs=2, metavar=("KIND", "DIR"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.make:
        {"tiny": make_tiny, "large": make_large}[chosen.make[0]](Path(chosen.make[1]))
        return
    with tempfile.TemporaryDirectory(prefix="batchimg-bench-") as scratch:
        os.environ["BATCHIMG_HOME"] = str(Path(scratch) / "home")
        try:
            run("local", "up")
            rows = [
                measure("1,000 of 64×64", made("tiny", Path(scratch))),
                measure("large photos", chosen.photos or made("large", Path(scratch))),
            ]
        finally:
            run("local", "down", "--delete")
    print(table(rows))


def measure(name: str, folder: Path) -> Row:
    """Submit a folder and wait: seconds from the command's start to its end, start of processes included."""
    before = time.perf_counter()
    command = [str(BATCHIMG), "submit", "--dataset", str(folder), "--name", folder.name, "--wait", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    seconds, peak = time.perf_counter() - before, usage.ru_maxrss / 1024
    status = json.loads(out.strip().splitlines()[-1])
    headers = result_headers(status["run"])
    files = [file for file in folder.rglob("*") if file.is_file()]
    pixels = sum(int(np.prod(iio.improps(file).shape[:2])) for file in files)
    worker = max(header["peak_memory_bytes"] for header in headers) / 2**20
    return Row(name, status["done"], float(pixels) / 1e6, seconds, peak, worker, len(headers))


def result_headers(run_id: str) -> list[dict[str, int]]:
    """The first line of every result: the worker's own account of its memory."""
    from batchimg.connect import connect
    from batchimg.settings import load_settings

    with connect(load_settings()) as services:
        paths = [blob.path for blob in services.runs.list(f"{run_id}/results/")]
        return [json.loads(next(services.runs.read_lines(path))) for path in paths]


def run(*arguments: str) -> str:
    done = subprocess.run([str(BATCHIMG), *arguments], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"batchimg {' '.join(arguments)}: exit code {done.returncode}")
    return done.stdout


def made(kind: str, scratch: Path) -> Path:
    """Make images in a process of their own: a child's peak memory begins with that of its parent."""
    folder = scratch / kind
    subprocess.run([sys.executable, __file__, "--make", kind, str(folder)], check=True)
    return folder


def make_tiny(folder: Path) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    for number in range(TINY_IMAGES):
        iio.imwrite(folder / f"{number:04d}.png", random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return folder


def make_large(folder: Path) -> Path:
    """Photos of 24 MP with noise, so that they are as hard to code as a camera's."""
    from skimage import data

    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    for number in range(LARGE_PHOTOS):
        photo = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())[number % 4]
        iio.imwrite(folder / f"{number}.jpg", disturbed(photo, random), quality=92)
    return folder


def disturbed(photo: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    rows = np.linspace(0, photo.shape[0] - 1, LARGE_SHAPE[0]).astype(np.intp)
    columns = np.linspace(0, photo.shape[1] - 1, LARGE_SHAPE[1]).astype(np.intp)
    large = photo[rows][:, columns].astype(np.int16)
    return np.clip(large + random.normal(0, 6, large.shape).astype(np.int16), 0, 255).astype(np.uint8)


def table(rows: list[Row]) -> str:
    lines = [
        "| images | MP | chunks | seconds | images/s | MP/s | orchestrator, peak MB | worker, peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} ({row.images}) | {row.megapixels:.0f} | {row.chunks} | {row.seconds:.1f} "
        f"| {row.images / row.seconds:.2g} | {row.megapixels / row.seconds:.1f} "
        f"| {row.orchestrator_mb:.0f} | {row.worker_mb:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
