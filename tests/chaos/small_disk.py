"""A small file system of its own, where this user may mount one: a disk that gets full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path | None]:
    """A tmpfs that goes with the context; None where this user may not mount one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={max(kib, 4)}k", "chaos", place], check=False, capture_output=True
    )
    try:
        yield place if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()
