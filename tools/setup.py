"""Make `.venv` with everything that batchimg needs; the second time it takes a fraction of a second.

With --infra also what the program in `pulumi/` needs (400 MB, half a minute): its tests want it, users do not.

Needs Python 3.11 or newer and nothing else: where the system's Python comes without pip (Debian splits it
off), the copy of pip beside this file installs the rest. Every package is checked against its locked hash.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "batchimg-setup.json"
KERNELS_STAMP = VENV / "batchimg-kernels.sha256"
NATIVE = ROOT / "worker" / "batchimg_worker" / "native"
LOCK = ROOT / "requirements" / "dev.txt"
INFRA_STAMP = VENV / "batchimg-infra.json"
INFRA_LOCK = ROOT / "pulumi" / "requirements.txt"


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have an older one
        return fail(
            f"batchimg needs Python 3.11 or newer, this is {sys.version.split()[0]}. Set PYTHON=python3.12, say."
        )
    return base() or (infra() if "--infra" in sys.argv else 0)


def base() -> int:
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted and python().exists():
        return kernels()
    print("Setting up .venv (once, about a minute) ...", flush=True)
    if VENV.exists():
        shutil.rmtree(VENV)
    venv.create(VENV, symlinks=True, with_pip=False)
    steps = (
        ["install", "--require-hashes", "--no-deps", "-r", str(LOCK)],
        ["install", "--no-build-isolation", "--no-deps", "--no-index", "--editable", str(ROOT)],
    )
    for step in steps:
        if install(*step) != 0:
            return 1
    STAMP.write_text(wanted)
    KERNELS_STAMP.write_text(kernels_fingerprint())  # the install has compiled them
    print("Set up.", flush=True)
    return 0


def kernels() -> int:
    """Compile the worker's C kernels again where they, or the way they are compiled, have changed since."""
    made_from = kernels_fingerprint()
    if KERNELS_STAMP.is_file() and KERNELS_STAMP.read_text() == made_from:
        return 0
    if subprocess.run([str(python()), str(ROOT / "tools" / "native.py")], check=False).returncode != 0:
        return fail("The C kernels were not compiled: the lines above say why. `make kernels` tries again.")
    KERNELS_STAMP.write_text(made_from)
    return 0


def kernels_fingerprint() -> str:
    """What the C kernels are made of."""
    digest = hashlib.sha256()
    for file in sorted([ROOT / "tools" / "native.py", *NATIVE.glob("*.c"), *NATIVE.glob("*.h")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def infra() -> int:
    wanted = hashlib.sha256(INFRA_LOCK.read_bytes()).hexdigest()
    if INFRA_STAMP.is_file() and INFRA_STAMP.read_text() == wanted:
        return 0
    print("Adding Pulumi's packages (once, half a minute) ...", flush=True)
    if install("install", "--require-hashes", "--no-deps", "-r", str(INFRA_LOCK)) != 0:
        return 1
    INFRA_STAMP.write_text(wanted)
    return 0


def install(*arguments: str) -> int:
    if subprocess.run(pip(*arguments), check=False, env=environment()).returncode != 0:
        return fail(
            "Set-up failed: the lines above say why. It needs the Python package index once; then run it again."
        )
    return 0


def python() -> Path:
    return VENV / "bin" / "python"


def pip(*arguments: str) -> list[str]:
    """Run pip out of its own wheel: no pip is needed on the machine, and none stays in the environment."""
    return [str(python()), str(pip_wheel() / "pip"), "--disable-pip-version-check", "--quiet", *arguments]


def pip_wheel() -> Path:
    return next((ROOT / "tools" / "bootstrap").glob("pip-*.whl"))


def environment() -> dict[str, str]:
    """The user's own environment, without what would install elsewhere than into .venv."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def fingerprint() -> str:
    """What the environment was made from; another value means that it has to be made anew."""
    made_from = {
        name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
        for name in ("requirements/dev.txt", "pyproject.toml", "tools/setup.py")
    }
    return json.dumps({"root": str(ROOT), "python": sys.version, **made_from})


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
