"""`make demo`: the sample images through batchimg, from the local stack to a gallery."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
BATCHIMG = Path(sys.executable).with_name("batchimg")
SOME_FAILED = 1  # two of the samples are no images, so that the demo shows what becomes of such files


def main() -> int:
    started = time.monotonic()
    code = batchimg("submit", "--dataset", "samples/images", "--name", "demo", "--wait")
    if code not in {0, SOME_FAILED}:
        return code
    run = latest_run()
    for arguments in (
        ["download", run, "--to", str(DEMO / "pictures")],
        ["gallery", run, "--to", str(DEMO / "gallery.html")],
    ):
        if (code := batchimg(*arguments)) != 0:
            return code
    print(f"\nDone in {time.monotonic() - started:.0f} s. Open this page in a browser:\n  {DEMO / 'gallery.html'}")
    print(f"The pictures are in {DEMO / 'pictures'}. Try it with your own folder:")
    print(f"  {BATCHIMG.relative_to(ROOT)} submit --dataset FOLDER --wait")
    return 0


def batchimg(*arguments: str) -> int:
    print(f"$ batchimg {' '.join(arguments)}", flush=True)
    return subprocess.run([str(BATCHIMG), *arguments], check=False, cwd=ROOT).returncode


def latest_run() -> str:
    """The name of the run that `submit` has just made."""
    import json

    listing = subprocess.run([str(BATCHIMG), "runs", "--json"], check=True, capture_output=True, text=True, cwd=ROOT)
    return str(next(run["run"] for run in json.loads(listing.stdout) if run["run"].startswith("demo-")))


if __name__ == "__main__":
    sys.exit(main())
