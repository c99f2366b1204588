"""The worker's C kernels with AddressSanitizer and UndefinedBehaviorSanitizer, where gcc is there."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from batchimg_worker.operations.kernels import native

VARIABLE = "BATCHIMG_FUZZ_NATIVE"
FLAGS = (
    *("-O1", "-g", "-std=gnu11", "-fno-omit-frame-pointer", "-shared", "-fPIC", "-fvisibility=hidden"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
)
PROCESSOR = {"x86_64": ("-march=haswell",)}
OPTIONS = "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:handle_segv=0:quarantine_size_mb=64"
SECONDS = 120


def environment(folder: Path, usual: dict[str, str]) -> dict[str, str] | None:
    """What a process needs to run with checked kernels; None where there is no gcc with its libraries."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    runtime = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(runtime.stdout.strip()).is_absolute():
        return None
    library = folder / f"kernels-{platform.machine()}.so"
    sources = map(str, sorted(native.FOLDER.glob("*.c")))
    flags = (*FLAGS, *PROCESSOR.get(platform.machine(), ()))
    subprocess.run([compiler, *flags, "-o", str(library), *sources], check=True, timeout=SECONDS)
    # Python's own allocator would hide where an object ends
    checked = {"LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": OPTIONS, "PYTHONMALLOC": "malloc"}
    return {**usual, **checked, VARIABLE: str(folder)}


def use() -> None:
    """In such a process, before a kernel is used."""
    if folder := os.environ.get(VARIABLE):
        native.FOLDER = Path(folder)
        if not native.available():
            raise RuntimeError(f"the checked kernels in {folder} do not run here")
