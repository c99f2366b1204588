"""Make the pictures of the README anew from the demo: `make pictures`, after `make demo`.

The status is drawn by the command's own code; the gallery is photographed with Chromium, where there is one.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from batchimg import tables
from batchimg.connect import connect
from batchimg.order import Order
from batchimg.recipes import Instructions
from batchimg.runs import delete
from batchimg.settings import load_settings
from batchimg.watch import RunStatus, follow
from batchimg_worker.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WINDOW = "1400,1000"
QUALITY = 82


def main() -> int:
    PICTURES.mkdir(parents=True, exist_ok=True)
    settings = load_settings(chunk_images=3)
    with connect(settings) as services:
        recipe = load_recipe("augment")
        order = Order.of(
            settings, str(ROOT / "samples" / "images"), Instructions(recipe), f"pictures-{int(time.time())}"
        )
        spec = order.place(services).spec
        seen = [now for now in follow(services, spec, seconds=0.3) if not now.is_over and now.done > spec.images / 3]
        delete(services, spec.run)
    if not seen:
        print("The run was over before it could be looked at.", file=sys.stderr)
        return 1
    draw_status(seen[len(seen) // 2])
    return photograph(ROOT / "demo" / "gallery.html", PICTURES / "gallery.jpg")


def draw_status(status: RunStatus) -> None:
    """A run in the middle of its life, as `batchimg status --watch` draws it."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=82, file=nowhere)
        console.print(tables.status_panel(status))
        drawing = console.export_svg(title="batchimg status --watch", unique_id="batchimg-status")
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)
    (PICTURES / "status.svg").write_text(without_fonts)


def photograph(page: Path, picture: Path) -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("No Chromium here: the gallery's picture stays as it is.", file=sys.stderr)
        return 0
    import imageio.v3 as iio

    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "shot.png"
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        command += ["--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"]
        command += [f"--user-data-dir={scratch}/profile", f"--window-size={WINDOW}", f"--screenshot={shot}"]
        done = subprocess.run([*command, page.as_uri()], check=False, capture_output=True, timeout=120)
        if not shot.is_file():
            print(done.stderr.decode(errors="replace")[-500:], file=sys.stderr)
            return 1
        iio.imwrite(picture, iio.imread(shot)[..., :3], quality=QUALITY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
