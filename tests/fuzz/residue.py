"""What a process holds after many files: memory, open files, threads; and whether that grows."""

import ctypes
import gc
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1 << 20
WARM = 0.3
"""Of the samples: libraries are loaded and caches filled by then."""

MOST_MEGABYTES_A_1000 = 1.0
FEWEST = 8


@dataclass(frozen=True)
class Sample:
    """After so many files: bytes in use of malloc's, Python objects in use, open files, threads."""

    files: int
    allocated_mb: float
    objects: int
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return (
            f"{self.allocated_mb:.1f} MB allocated, {self.objects:,} objects, "
            f"{self.descriptors} open files, {self.threads} threads"
        )


class _Allocations(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def allocated_bytes() -> int:
    """What malloc has given out and not got back, in all arenas (mallinfo2 of glibc 2.33); 0 with another C library."""
    found = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if found is None:
        return 0
    found.restype = _Allocations
    seen = found()
    return int(seen.uordblks + seen.hblkhd)


def highest_bytes(*, anew: bool = False) -> int:
    """The most memory that this process has held, ``anew`` from now on (proc(5), clear_refs)."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def sample(files: int) -> Sample:
    gc.collect()
    return Sample(
        files,
        round(allocated_bytes() / MEGABYTE, 2),
        sys.getallocatedblocks(),
        len(list(Path("/proc/self/fd").iterdir())),
        len(list(Path("/proc/self/task").iterdir())),
    )


def flatness(samples: list[Sample]) -> list[str]:
    """What grows, in words; nothing where the samples are too few to tell."""
    warm = [one for one in samples if one.files >= samples[-1].files * WARM]
    if len(warm) < FEWEST:
        return []
    grown = []
    slope = statistics.linear_regression([one.files for one in warm], [one.allocated_mb for one in warm]).slope
    if slope * 1000 > MOST_MEGABYTES_A_1000:
        grown.append(f"{slope * 1000:.2f} MB of memory every 1,000 files")
    half = len(warm) // 2
    for name in ("descriptors", "threads"):
        before, after = (max(getattr(one, name) for one in part) for part in (warm[:half], warm[half:]))
        if after > before + 2:
            grown.append(f"{name} from {before} to {after}")
    return grown
