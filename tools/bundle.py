"""Make the worker's bundle, and with --configure write the stack's outputs into batchimg.toml and send it.

The bundle is a tar with pip, the wheel of this tree and the worker's locked dependencies for the nodes' Python:
nodes install it without a network, every file against its hash. Nothing is compiled on a node.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from batchimg.configure import pulumi_outputs
from batchimg.errors import BatchimgError
from batchimg_worker.version import __version__

from setup import ROOT, VENV, environment, fail, pip, pip_wheel

sys.path.append(str(ROOT / "tools" / "infra"))

from locked import for_python, split

LOCK = ROOT / "requirements" / "worker.txt"
NODE_PYTHON = "3.12"  # of Ubuntu 24.04
SOURCES = frozenset({"pyvips"})  # pure Python that is published as source only: its wheel is made here
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=NODE_PYTHON, help="the nodes' Python")
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / f"batchimg-worker-{__version__}.tar")
    parser.add_argument("--configure", action="store_true")
    parser.add_argument("--stack")
    chosen = parser.parse_args()
    if (code := make(chosen.to, chosen.python)) != 0:
        return code
    print(f"{chosen.to} ({chosen.to.stat().st_size >> 20} MB)")
    return configure(chosen.to, chosen.stack) if chosen.configure else 0


def make(target: Path, python: str) -> int:
    """The same sources give the same bytes, so that what is there is not sent again."""
    stamp = target.with_suffix(".made-from")
    made_from = f"{python} {sources()}"
    if target.is_file() and stamp.is_file() and stamp.read_text() == made_from:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name) / "bundle"
        folder.mkdir()
        sources_only, wheels = split(for_python(LOCK.read_text(), python), SOURCES)
        (folder / "requirements.txt").write_text(wheels)
        if download(folder, python) != 0 or from_sources(folder, sources_only) != 0 or wheel(folder) != 0:
            return fail("The bundle was not made: the lines above say why. It needs the Python package index.")
        part = Path(name) / "part.tar"
        pack(folder, part)
        part.replace(target)
    stamp.write_text(made_from)
    return 0


def sources() -> str:
    """A hash of what a bundle is made from."""
    worker = sorted(file for file in (ROOT / "worker").rglob("*") if file.suffix in {".py", ".c", ".h", ".yaml"})
    files = [LOCK, ROOT / "pyproject.toml", Path(__file__), *worker]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def download(folder: Path, python: str) -> int:
    """Only wheels that are built: nodes have no compiler, and a source would run code here."""
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    target = ("--python-version", python, "--implementation", "cp", *platforms, "--only-binary", ":all:")
    lock = str(folder / "requirements.txt")
    command = ("download", "--require-hashes", "--no-deps", *target, "-r", lock, "-d", str(folder))
    return subprocess.run(pip(*command), check=False, env=environment()).returncode


def from_sources(folder: Path, lock: str) -> int:
    """Wheels of what is published as source only; the sources are held against the lock, the wheels are locked here.

    One that is not the same for every machine is refused: nodes are not like this machine.
    """
    sources = folder.parent / "sources"
    sources.mkdir()
    listed = sources / "requirements.txt"
    listed.write_text(lock)
    command = pip("wheel", "--require-hashes", "--no-deps", "-r", str(listed), "-w", str(sources))
    no_libraries = {**environment(), "PKG_CONFIG_LIBDIR": str(sources)}  # or pyvips would bind this machine's libvips
    if (code := subprocess.run(command, check=False, env=no_libraries).returncode) != 0:
        return code
    for made in sorted(sources.glob("*.whl")):
        if not made.name.endswith("-none-any.whl"):
            return fail(f"{made.name} holds compiled code: take its name out of SOURCES in tools/bundle.py.")
        add(folder, made)
    return 0


def add(folder: Path, made: Path) -> None:
    """A wheel that was made here becomes one more locked requirement of the bundle."""
    name, version, *_ = made.name.split("-")
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    if made.parent != folder:
        shutil.copyfile(made, folder / made.name)
    with (folder / "requirements.txt").open("a") as lock:
        lock.write(f"{name}=={version} --hash=sha256:{digest}\n")


def wheel(folder: Path) -> int:
    """This tree's wheel, and pip to install it with."""
    command = pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", str(ROOT), "-w", str(folder))
    programs = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    code = subprocess.run(command, check=False, env={**environment(), "PATH": programs}).returncode
    if code != 0:
        return code
    add(folder, next(folder.glob("batchimg-*.whl")))
    shutil.copyfile(pip_wheel(), folder / "pip.whl")
    return 0


def pack(folder: Path, target: Path) -> None:
    def same(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode = 0, 0, 0, "", "", 0o644
        return entry

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, arcname=file.name, filter=same)


def configure(bundle: Path, stack: str | None) -> int:
    """Send the bundle where the stack's nodes install one; where they run an image, say how it gets there."""
    try:
        outputs = pulumi_outputs(ROOT / "pulumi", stack)
    except BatchimgError as error:
        return fail(f"{error.message}\n  {error.hint}")
    command = [str(VENV / "bin" / "batchimg"), "configure", "--outputs", "-"]
    if outputs.get("worker_bundle"):
        command += ["--worker", str(bundle)]
    elif image := outputs.get("worker_image"):
        print(f"Nodes run the image {image}. To send it:")
        print(f"  az acr login --name {image.split('.')[0]} && docker build -t {image} . && docker push {image}")
    return subprocess.run(command, check=False, cwd=ROOT, input=json.dumps(dict(outputs)), text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
