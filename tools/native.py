"""Compiles the worker's C kernels for every kind of node, with the C compiler of the `ziglang` package.

Hatch calls this for a wheel and for an editable install. The libraries are for Linux whatever builds them, so one
wheel serves all nodes. Where `ziglang` is missing, or does not run here, the install goes on without them: the
worker then uses scikit-image and scipy, which is slower and gives the same pictures. `make kernels`
does it by hand, after a change of the C files.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path(__file__).resolve().parent.parent / "worker" / "batchimg_worker" / "native"
TARGETS = {
    "kernels-x86_64.so": ("x86_64-linux-gnu.2.17", "x86_64_v3"),  # AVX2; AVX-512 gained nothing
    "kernels-aarch64.so": ("aarch64-linux-gnu.2.17", "generic"),
}
FLAGS = (
    *("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC", "-s"),
)
SECONDS = 300


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg] # the builder's own configuration is not used
    """What hatch looks for in this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's signature
        """Compile, and put the libraries into the wheel although they are not in the repository."""
        build_data["artifacts"] += [f"/{library.relative_to(self.root)}" for library in compile_all()]


def compile_all() -> list[Path]:
    """Compile what is not up to date; return the libraries that are there."""
    if find_spec("ziglang") is None:
        print("batchimg: no ziglang package, so no C kernels; the worker will be slower", file=sys.stderr)
        return []
    return [library for name in TARGETS if (library := _compiled(name)) is not None]


def _compiled(name: str) -> Path | None:
    library, (target, cpu) = NATIVE / name, TARGETS[name]
    sources = sorted(NATIVE.glob("*.c"))
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={cpu}", *FLAGS]
    made_from = _fingerprint(command[2:])
    stamp = library.with_suffix(".made-from")
    if library.is_file() and stamp.is_file() and stamp.read_text() == made_from:
        return library
    fresh = library.with_stem(f"{library.stem}-{os.getpid()}")  # who runs keeps the old one; nobody sees a part
    try:
        done = subprocess.run(
            [*command, "-o", str(fresh), *map(str, sources)],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"batchimg: {name} was not compiled: {error}", file=sys.stderr)
        return None
    if done.returncode != 0 or not fresh.is_file():
        fresh.unlink(missing_ok=True)
        print(f"batchimg: {name} was not compiled: {done.stderr[-2000:]}", file=sys.stderr)
        return None
    stamp.unlink(missing_ok=True)
    fresh.replace(library)
    stamp.write_text(made_from)
    return library


def _fingerprint(command: list[str]) -> str:
    digest = hashlib.sha256(" ".join(command).encode())
    for source in sorted([*NATIVE.glob("*.c"), *NATIVE.glob("*.h")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    for made in compile_all():
        print(made.relative_to(Path.cwd()) if made.is_relative_to(Path.cwd()) else made)
