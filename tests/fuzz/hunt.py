"""`make fuzz`: thousands of damaged files through the worker's data path, in processes that may die of them.

Each file goes three ways: the default recipe (JPEG in planes where it can), every frame with truncated files allowed
and all measures, and in tiles. A process does its share one file after the other; one that dies, or takes too long, is
followed by another, and the file is kept. The same seed and number always make the same file.
"""

import argparse
import faulthandler
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import documents
import sanitized
from mutators import damaged
from residue import Sample, flatness, sample
from seeds import seeds

CPU_SECONDS = 5
"""A file may take so much on each way; one that takes more is as good as one that never ends."""

WALL_SECONDS = 300
SAMPLE_EVERY = 100
SANITIZED_PART = 5
SHARES = 2
DIE_AT = "BATCHIMG_FUZZ_DIE_AT"
"""Environment variable of the number of a file that a process is to die of, for the test of the hunt itself."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one file, by its number")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="where files go that something is wrong with"
    )
    parser.add_argument("--share", nargs=3, type=int, metavar=("FIRST", "END", "STEP"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.share:
        work(chosen.seed, range(*chosen.share))
        return
    found = hunt(chosen.seed, range(chosen.files) if chosen.only is None else range(chosen.only, chosen.only + 1))
    found.keep(chosen.keep)
    print(found.table())
    if chosen.only is None:
        count, faults = documents.hunt(chosen.seed)
        print(f"\n{count:,} damaged documents (recipes, runs, manifests, results): {len(faults)} faults")
        print("\n".join(faults))
        found.faults += [Fault(0, "document", fault) for fault in faults]
    sys.exit(1 if found.faults or found.leaks() else 0)


@dataclass(frozen=True)
class Fault:
    """Something that should not be: of which file, on which way."""

    number: int
    way: str
    what: str


@dataclass
class Found:
    """What a hunt saw."""

    seed: int
    words: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    samples: list[list[Sample]] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    largest: tuple[int, int, str] = (0, 0, "")
    left_behind: int = 0
    sanitized: int = 0

    def take(self, line: dict) -> None:
        """What a process said of a file."""
        for way, outcome in line["outcomes"].items():
            self.words[line["format"], way, outcome["word"]] += 1
            self.slowest = max(self.slowest, (outcome["seconds"], line["end"], way))
            self.largest = max(self.largest, (outcome["growth"], line["end"], way))
            if outcome["fault"]:
                self.faults.append(Fault(line["end"], way, outcome["fault"]))

    def leaks(self) -> list[str]:
        """What grew over the files, and should not."""
        grown = [text for samples in self.samples for text in flatness(samples)]
        return grown + ([f"{self.left_behind} temporary files were left"] if self.left_behind else [])

    def keep(self, folder: Path) -> None:
        """Write the files that something is wrong with."""
        for fault in self.faults:
            folder.mkdir(parents=True, exist_ok=True)
            story, data = damaged(self.seed, fault.number, seeds())
            (folder / f"{self.seed}-{fault.number}.bin").write_bytes(data)
            (folder / f"{self.seed}-{fault.number}.txt").write_text(f"{story}\n{fault.way}: {fault.what}\n")

    def table(self) -> str:
        """As Markdown."""
        words = sorted({word for _, _, word in self.words})
        formats = sorted({each for each, _, _ in self.words})
        lines = ["| made from | " + " | ".join(words) + " |", "|---" * (len(words) + 1) + "|"]
        for each in [*formats, "all"]:
            of = [sum(n for (f, _, w), n in self.words.items() if w == word and each in (f, "all")) for word in words]
            lines.append(f"| {each} | " + " | ".join(f"{number:,}" for number in of) + " |")
        lines += [f"\n{len(self.faults)} faults"]
        lines += [f"- {fault.way}, file {fault.number}: {fault.what}" for fault in self.faults]
        lines += [f"- leak: {leak}" for leak in self.leaks()]
        lines += [f"slowest: {self.slowest[0]:.2f} s of CPU (file {self.slowest[1]}, {self.slowest[2]})"]
        lines += [f"most memory for one file: {self.largest[0] >> 20} MB (file {self.largest[1]}, {self.largest[2]})"]
        lines += [f"with address and undefined-behaviour checks in the C kernels: {self.sanitized:,} files more"]
        lines += [
            f"a process over {one[-1].files:,} files: {one[0]} -> {one[-1]}" for one in self.samples if len(one) > 1
        ]
        return "\n".join(lines)


def hunt(seed: int, numbers: range, *, sanitize: bool = True, shares: int = SHARES) -> Found:
    """Shares of the numbers side by side; then some of them again with the C kernels checked."""
    found = Found(seed)
    with tempfile.TemporaryDirectory(prefix="batchimg-fuzz-") as scratch:
        plain = {**os.environ, "OMP_NUM_THREADS": "1"}
        _side_by_side(found, _parted(numbers, shares), plain, Path(scratch))
        checked = sanitized.environment(Path(scratch), plain) if sanitize else None
        if checked is not None:
            some = numbers[: -(-len(numbers) // SANITIZED_PART)]
            other = Found(seed)
            _side_by_side(other, _parted(some, shares), checked, Path(scratch))
            found.faults += [Fault(one.number, f"{one.way}, C checked", one.what) for one in other.faults]
            found.sanitized = len(some)
    return found


def _parted(numbers: range, shares: int) -> list[range]:
    return [numbers[part::shares] for part in range(min(shares, len(numbers)))]


def _side_by_side(found: Found, shares: list[range], environment: dict[str, str], scratch: Path) -> None:
    threads = [threading.Thread(target=_watch, args=(found, share, environment, scratch)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _watch(found: Found, share: range, environment: dict[str, str], scratch: Path) -> None:
    """One process after another until the share is done."""
    while len(share):
        samples: list[Sample] = []
        begun = None
        with tempfile.TemporaryDirectory(dir=scratch) as temporary, tempfile.TemporaryFile("w+") as errors:
            command = [sys.executable, __file__, "--seed", str(found.seed), "--share", *map(str, _bounds(share))]
            environment = {**environment, "TMPDIR": temporary}
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process:
                for line in _lines(process):
                    if "begin" in line:
                        begun = line["begin"]
                    elif "sample" in line:
                        samples.append(Sample(**line["sample"]))
                    else:
                        found.take(line)
                        share, begun = share[1:], None
            if samples:
                found.samples.append(samples)
            if process.returncode == 0:
                found.left_behind += len(list(Path(temporary).iterdir()))
                return
            errors.seek(0)
            number = share[0] if begun is None else begun
            found.faults.append(Fault(number, "process", _death(process.returncode, errors.read())))
            share = share[1:]


def _bounds(share: range) -> tuple[int, int, int]:
    return share.start, share.stop, share.step


def _lines(process: subprocess.Popen[bytes]) -> Iterator[dict]:
    """What a process says, until it ends; one that stands still is ended."""
    while select.select([process.stdout], [], [], WALL_SECONDS)[0]:
        line = process.stdout.readline()
        if not line:
            return
        yield json.loads(line)
    process.send_signal(signal.SIGABRT)


def _death(code: int, errors: str) -> str:
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    kind = {"SIGXCPU": f"more than {CPU_SECONDS} s of CPU", "SIGABRT": "stands still, or aborted"}.get(name, name)
    told = [line.strip() for line in errors.splitlines() if "failed: image" not in line and line.strip()]
    where = [line for line in told if "ERROR: AddressSanitizer" in line or "runtime error" in line or "File " in line]
    return f"{kind}: " + " < ".join((where or told)[:6])


def work(seed: int, numbers: range) -> None:
    """In a process of its own: every file, what became of it, and now and then what the process holds."""
    say = os.fdopen(os.dup(1), "w", buffering=1)
    faulthandler.enable()
    faulthandler.register(signal.SIGXCPU, chain=True)
    sanitized.use()
    from trial import SPECS, tried

    files = seeds()
    for done, number in enumerate(numbers):
        story, data = damaged(seed, number, files)
        say.write(json.dumps({"begin": number}) + "\n")
        if os.environ.get(DIE_AT) == str(number):
            os.kill(os.getpid(), signal.SIGSEGV)
        outcomes = {}
        for way in SPECS:
            _limit_cpu()
            with redirect_stdout(sys.stderr):
                outcomes[way] = asdict(tried(data, way))
        name = story.partition(" ")[0]
        ending = name if name.startswith("rare") else name.rpartition(".")[2]
        say.write(json.dumps({"end": number, "format": ending.partition(".")[0], "outcomes": outcomes}) + "\n")
        if done % SAMPLE_EVERY == 0:
            say.write(json.dumps({"sample": asdict(sample(done))}) + "\n")
    say.write(json.dumps({"sample": asdict(sample(len(numbers)))}) + "\n")


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    began = time.monotonic()
    try:
        main()
    finally:
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
