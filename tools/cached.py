"""What the tools keep in the user's cache: programs that are built or installed once. Needs nothing but Python."""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from setup import environment, pip_wheel


class NotInstalled(Exception):  # noqa: N818 - it reads as what it says
    """A tool could not be installed; the message is one line."""


def cache() -> Path:
    if named := os.environ.get("BATCHIMG_CACHE_DIR"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "batchimg"


def programs(lock: Path, seconds: int) -> Path:
    """The folder of the programs of a lock, in an environment of its own, made once for each content.

    Raises NotInstalled, after ``seconds`` at the latest.
    """
    made_from = lock.read_bytes() + sys.version.encode()
    folder = cache() / f"{lock.stem}-{hashlib.sha256(made_from).hexdigest()[:12]}"
    if not (folder / "complete").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        print(f"Installing what requirements/{lock.name} locks (once) ...", file=sys.stderr, flush=True)
        # Programs of an environment name its place: it is made where it stays, and marked when it is whole.
        venv.create(folder, symlinks=True, with_pip=False, clear=True)
        _install(folder / "bin" / "python", lock, seconds)
        (folder / "complete").touch()
    return folder / "bin"


def _install(python: Path, lock: Path, seconds: int) -> None:
    command = [str(python), str(pip_wheel() / "pip"), "--disable-pip-version-check", "--quiet", "install"]
    with tempfile.TemporaryFile("w+") as said:
        try:
            code = subprocess.run(
                [*command, "--require-hashes", "--no-deps", "-r", str(lock)],
                check=False, env=environment(), stdout=said, stderr=subprocess.STDOUT, timeout=seconds,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"what requirements/{lock.name} locks was not installed in {seconds} s") from None
        said.seek(0)
        lines = said.read().strip().splitlines() or ["pip said nothing"]
    if code != 0:
        raise NotInstalled(f"what requirements/{lock.name} locks was not installed: {lines[-1]}")
