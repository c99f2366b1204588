"""`make bench-tiles`: one huge image, in tiles, beside pyvips, which streams too.

The picture is made here out of a sample, with grain, so that it is as hard to compress as a photo. Each contender is a
process of its own; rounds are interleaved. Counted is the work after imports, from file to file, checksum included.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "images" / "places" / "china.jpg"
SEED = 7
GRAIN = 6
QUALITY = 90
SIGMA = 5.0
ANGLE = 30
WIDE = 0.25 * 0.02
"""What `blur=25%` is of the shorter side."""
OPERATIONS = {
    "blur": f"blur=sigma:{SIGMA}",
    "wide-blur": "blur=25%",
    "rotate": f"rotate={ANGLE}",
    "resize": "resize=25%",
}
FORMATS = {"jpeg": ".jpg", "tiff": ".tif", "png": ".png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000, help="width and height of the image (default 20000)")
    parser.add_argument("--small", action="store_true", help="4000 pixels a side, one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument("--formats", default="jpeg,tiff", help="jpeg, tiff, png (default the first two)")
    parser.add_argument("--operations", default="blur", help="blur, wide-blur, rotate, resize (default blur)")
    parser.add_argument("--folder", type=Path, help="where files go (default: the temporary folder)")
    parser.add_argument("--contender", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.contender:
        work(*chosen.contender, chosen.folder)
        return
    side, rounds = (4_000, 1) if chosen.small else (chosen.side, chosen.rounds)
    with TemporaryDirectory(prefix="batchimg-bench-", dir=chosen.folder) as scratch:
        print(f"{side}x{side} RGB, 8 bits, {rounds} rounds\n")
        print("| | format | seconds | CPU seconds | ÷ pyvips | peak MB | MB written |\n|---|---|---|---|---|---|---|")
        for format_ in chosen.formats.split(","):
            file = Path(scratch) / f"huge{FORMATS[format_]}"
            made(file, side, format_)
            for name in chosen.operations.split(","):
                print(rows(name, file, rounds), flush=True)
            file.unlink()


def made(path: Path, side: int, format_: str) -> None:
    """Write the picture strip by strip."""
    from batchimg_worker.codec import decode
    from batchimg_worker.operations import OPERATIONS as KNOWN
    from batchimg_worker.tiles.chain import in_order
    from batchimg_worker.tiles.tiff import writer_of
    from batchimg_worker.tiles.writers import Frame

    tile = KNOWN.get("resize").run(decode(SAMPLE.read_bytes()).array, {"scale": 4.0, "order": 1, "enlarge": True})
    wide = np.tile(tile, (1, -(-side // tile.shape[1]), 1))[:, :side]
    writer = writer_of(format_, Frame(side, side, tile[:1, :1], None, QUALITY))

    def strip(top: int) -> np.ndarray:
        grain = np.random.default_rng(SEED + top).integers(-GRAIN, GRAIN + 1, (256, side, 1), np.int16)
        rows_ = wide[(top + np.arange(256)) % len(wide)]
        return np.clip(rows_ + grain, 0, 255).astype(np.uint8)[: side - top]

    with ThreadPoolExecutor(2) as pool:
        writer.save(path, in_order(pool, lambda top: writer.encode(strip(top)), range(0, side, 256)))


def rows(name: str, file: Path, rounds: int) -> str:
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for contender in CONTENDERS:
            command = [
                sys.executable,
                __file__,
                "--contender",
                contender,
                name,
                str(file),
                "--folder",
                str(file.parent),
            ]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
            if done.returncode:
                print(done.stderr[-2000:], file=sys.stderr)
                continue
            found.setdefault(contender, []).append(json.loads(done.stdout.splitlines()[-1]))
    medians = {key: {k: statistics.median(one[k] for one in each) for k in each[0]} for key, each in found.items()}
    peer = medians.get("pyvips", {}).get("seconds", float("nan"))
    return "\n".join(
        f"| {contender}, {name} | {file.suffix[1:]} | {m['seconds']:.1f} | {m['cpu']:.1f} | {m['seconds'] / peer:.2f} "
        f"| {m['peak_mb']:.0f} | {m['written_mb']:.0f} |"
        for contender, m in medians.items()
    )


def work(contender: str, operation: str, file: str, folder: Path) -> None:
    """One process of a contender; prints what it took."""
    with TemporaryDirectory(dir=folder) as scratch:
        run = CONTENDERS[contender](operation, Path(file), Path(scratch))
        wall, cpu = time.perf_counter(), time.process_time()
        target = run()
        found = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
        print(json.dumps(found | {"peak_mb": int(peak) / 1024, "written_mb": target.stat().st_size / 1e6}))


def batchimg(operation: str, file: Path, folder: Path) -> Callable[[], Path]:
    from batchimg_worker.contract import Limits
    from batchimg_worker.memory import image_limits, keep_freed_memory
    from batchimg_worker.recipe import recipe_from_ops
    from batchimg_worker.tiles.process import Room, process_file

    keep_freed_memory()
    recipe = recipe_from_ops([OPERATIONS[operation]])
    room = Room(image_limits(Limits(max_megapixels=1e6)), "always", folder)

    def run() -> Path:
        (output,) = process_file(file, recipe, room).outputs
        return output.encoded.data

    return run


def pyvips(operation: str, file: Path, folder: Path) -> Callable[[], Path]:
    import pyvips as vips

    def turned(image: vips.Image) -> vips.Image:
        whole = image.similarity(angle=-ANGLE)
        left, top = (whole.width - image.width) // 2, (whole.height - image.height) // 2
        return whole.crop(left, top, image.width, image.height)

    def run() -> Path:
        access = "random" if operation == "rotate" else "sequential"
        image = vips.Image.new_from_file(str(file), access=access)
        changed = {
            "blur": lambda: image.gaussblur(SIGMA),
            "wide-blur": lambda: image.gaussblur(WIDE * min(image.width, image.height)),
            "rotate": lambda: turned(image),
            "resize": lambda: image.resize(0.25),
        }[operation]()
        target = folder / f"result{file.suffix}"
        options = {
            ".jpg": {"Q": QUALITY, "subsample_mode": "on"},
            ".tif": {"tile": True, "tile_width": 256, "tile_height": 256, "compression": "deflate", "predictor": 2},
            ".png": {"compression": 1, "filter": 8},
        }[file.suffix]
        changed.write_to_file(str(target), **options)
        return target

    return run


CONTENDERS = {"batchimg": batchimg, "pyvips": pyvips}

if __name__ == "__main__":
    main()
