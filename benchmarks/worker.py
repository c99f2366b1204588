"""`make bench-worker`: the default recipe beside other libraries, and each operation beside scikit-image.

Every contender runs in two processes, as two slots of a node would, and in a fresh pair each round; rounds are
interleaved and a table shows medians. Counted is the work on files that are in memory, after imports and after one
file to warm up. Photos are made here out of the samples, or are yours with --photos DIR.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from contenders import CONTENDERS, EQUAL, QUALITY

SAMPLES = Path(__file__).resolve().parent.parent / "samples" / "images"
SOURCES = ("science/retina.jpg", "places/china.jpg", "places/flower.jpg", "food/coffee cup.jpg")
PHOTO_SIZE = (2304, 3456)
SMALL_SIDES = (64, 512)
SLOTS = 2
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of your own JPEG photos")
    parser.add_argument("--small", type=int, default=200, help="how many small images (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each table (default 3)")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slot", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.contender:
        work(chosen.contender, chosen.folder, chosen.slot)
        return
    with TemporaryDirectory(prefix="batchimg-bench-") as scratch:
        rows = make_rows(Path(scratch), chosen.photos, chosen.small)
        for title, folder in rows.items():
            print(f"\n## {title}\n\n{compared(folder, chosen.rounds)}", flush=True)
        print(f"\n## Operations, one process\n\n{operations(next(iter(rows.values())))}")


def work(name: str, folder: Path, slot: int) -> None:
    """One process of a contender: every second file; prints seconds and megapixels."""
    contender = CONTENDERS[name]()
    files = [file.read_bytes() for file in sorted(folder.iterdir())[slot::SLOTS]]
    contender(min(files, key=len))
    wall, cpu = time.perf_counter(), time.process_time()
    size = sum(len(result) for data in files for result in contender(data))
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "bytes": size}
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(json.dumps(found | {"peak_mb": int(peak) // 1024, "native": name != "batchimg" or native()}))


def native() -> bool:
    from batchimg_worker.operations.kernels import native as kernels

    return kernels.available()


def compared(folder: Path, rounds: int) -> str:
    """A table of all contenders that are installed."""
    results: dict[str, list[dict[str, float]]] = {}
    jpeg = any(file.suffix.lower() in (".jpg", ".jpeg") for file in folder.iterdir())
    for number in range(rounds):
        for name in CONTENDERS:
            if name == "batchimg by RGB" and not jpeg:  # there is no other path
                continue
            if number and (name not in results or name == "scikit-image"):  # missing, or slow: once is enough
                continue
            found = measured(name, folder)
            if found:
                results.setdefault(name, []).append(found)
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} for name, found in results.items()
    }
    ours, images = middle["batchimg"], len(list(folder.iterdir()))
    lines = [
        "| | CPU seconds | images/s | ÷ floor | batchimg is faster by | MB written | peak MB a process | equal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['cpu']:.2f} | {images / row['wall']:.3g} | {row['cpu'] / middle['floor']['cpu']:.2f} "
        f"| {row['cpu'] / ours['cpu']:.2f} | {row['bytes'] / 1e6:.1f} | {row['peak_mb']:.0f} | {EQUAL[name]} |"
        for name, row in sorted(middle.items(), key=lambda item: item[1]["cpu"])
    ]
    return "\n".join(lines)


def measured(name: str, folder: Path) -> dict[str, float] | None:
    """Two processes at once; None where the library is missing or cannot write these files."""
    command = [sys.executable, __file__, "--contender", name, "--folder", str(folder), "--slot"]
    with ThreadPoolExecutor(SLOTS) as pool:
        runs = list(pool.map(lambda slot: run_one([*command, str(slot)]), range(SLOTS)))
    if any(run.returncode for run in runs):
        print(
            f"{name} is left out: {(runs[0].stderr.strip().splitlines() or ['it failed'])[-1][:150]}", file=sys.stderr
        )
        return None
    found = [json.loads(run.stdout.splitlines()[-1]) for run in runs]
    if not all(one["native"] for one in found):
        print("batchimg runs without its C kernels here", file=sys.stderr)
    return {
        "cpu": sum(one["cpu"] for one in found),
        "wall": max(one["wall"] for one in found),
        "bytes": sum(one["bytes"] for one in found),
        "peak_mb": max(one["peak_mb"] for one in found),
    }


def run_one(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=1800)


def make_rows(scratch: Path, photos: Path | None, small: int) -> dict[str, Path]:
    """Folders of files: the name of each table to the folder."""
    from batchimg_worker.codec import Picture, encode

    random = np.random.default_rng(SEED)
    large = [photo(name, random, PHOTO_SIZE) for name in SOURCES]
    if photos is None:
        photos = scratch / "jpeg"
        photos.mkdir()
        for number, array in enumerate(large):
            (photos / f"{number}.jpg").write_bytes(encode(Picture(array, "jpeg", 8), "jpeg", quality=QUALITY).data)
    rows = {"JPEG photos": photos}
    for kind, arrays in {"png": large[:2], "tiff": [array.astype(np.uint16) * 257 for array in large[:2]]}.items():
        folder = rows[{"png": "PNG", "tiff": "16-bit TIFF"}[kind]] = scratch / kind
        folder.mkdir()
        for number, array in enumerate(arrays):
            half = np.ascontiguousarray(array[::2, ::2])
            (folder / f"{number}.{kind}").write_bytes(encode(Picture(half, kind, 8), kind).data)
    folder = rows[f"{small:,} JPEG images of {SMALL_SIDES[0]} to {SMALL_SIDES[1]} pixels"] = scratch / "small"
    folder.mkdir()
    for number in range(small):
        height, width = random.integers(SMALL_SIDES[0], SMALL_SIDES[1], 2, endpoint=True)
        array = np.ascontiguousarray(large[number % len(large)][::4, ::4][:height, :width])
        (folder / f"{number:05d}.jpg").write_bytes(encode(Picture(array, "jpeg", 8), "jpeg", quality=QUALITY).data)
    return rows


def photo(name: str, random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A sample made larger, with the noise of a camera."""
    from batchimg_worker.codec import decode
    from batchimg_worker.operations import OPERATIONS

    image = decode((SAMPLES / name).read_bytes()).array[..., :3]
    resize = OPERATIONS.get("resize")
    large = resize.run(np.ascontiguousarray(image), resize.bind({"height": size[0], "width": size[1]}))
    noise = random.normal(0, 2.5, size).astype(np.int16)[..., None]
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def operations(folder: Path) -> str:
    """CPU time of each operation, as the worker does it and with scikit-image alone, on one photo, in one process."""
    from batchimg_worker.codec import decode
    from batchimg_worker.operations import OPERATIONS
    from batchimg_worker.recipe import recipe_from_ops
    from plain_operations import PLAIN

    image = decode(next(iter(sorted(folder.iterdir()))).read_bytes()).array
    lines = ["| operation | ms/MP | scikit-image, ms/MP | factor |", "|---|---|---|---|"]
    for op, plain in PLAIN.items():
        (step,) = recipe_from_ops([op]).variants[0].steps
        operation = OPERATIONS.get(step.operation)
        fast = seconds(partial(operation.run, image, step.parameters), 5)
        slow = seconds(partial(plain, image), 1)
        scale = 1e3 / (image.shape[0] * image.shape[1] / 1e6)
        lines.append(f"| `{op}` | {fast * scale:.2f} | {slow * scale:.1f} | {slow / fast:.0f} |")
    return "\n".join(lines)


def seconds(call: Callable[[], object], times: int) -> float:
    """The least CPU time of some calls."""
    found = []
    for _ in range(times):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


if __name__ == "__main__":
    main()
