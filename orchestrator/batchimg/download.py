"""Download: a run's pictures to a folder, in parallel, verified; what is there already is not fetched again."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from batchimg.collect import records
from batchimg.connect import Services
from batchimg.errors import InputError, MachineError
from batchimg.events import Observer, Progressed, nobody
from batchimg.localpath import LocalNames
from batchimg.parallel import in_parallel
from batchimg_worker.contract import RunSpec, dump
from batchimg_worker.errors import StorageError
from batchimg_worker.storage import Blob, Container

PARTS = ".batchimg-parts"  # inside the folder, so that a finished file is moved, not copied
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download did; ``skipped`` files were there and whole."""

    folder: Path
    files: int
    skipped: int
    bytes: int
    results: Path


def download(
    services: Services, spec: RunSpec, to: Path, variant: str | None = None, observer: Observer = nobody
) -> Downloaded:
    """Fetch the pictures of a run, or of one variant, and its records as ``results.jsonl``.

    Every file is checked against its MD5 before it gets its name. Interrupted, the same call goes on. Raises
    InputError for an unknown variant or folder, MachineError where the disk is full.
    """
    _check_variant(spec, variant)
    parts = _parts_folder(to)
    fetcher = _Fetcher(services.outputs, LocalNames(to), parts, f"{spec.run}/")
    files = skipped = size = 0
    try:
        wanted = services.outputs.list(f"{spec.run}/{variant}/" if variant else f"{spec.run}/")
        for was_there, length in in_parallel(fetcher.fetch, wanted, services.settings.download_threads):
            files += 1
            skipped += was_there
            size += length
            observer(Progressed("download", files, None, unit="files", bytes=size, skipped=skipped))
        results = _write_results(services, spec, to, parts)
    except OSError as error:
        raise _full_or_broken(error, to) from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        _remove_if_empty(parts.parent)
    return Downloaded(to, files, skipped, size, results)


@dataclass(frozen=True, slots=True)
class _Fetcher:
    container: Container
    names: LocalNames
    parts: Path
    prefix: str

    def fetch(self, blob: Blob) -> tuple[bool, int]:
        """Fetch one picture; True where it was there already."""
        target = self.names.place(blob.path[len(self.prefix) :])
        if _is_whole(target, blob):
            return True, blob.size
        target.parent.mkdir(parents=True, exist_ok=True)
        part = self.parts / hashlib.sha256(blob.path.encode()).hexdigest()[:32]
        digest, size = hashlib.md5(usedforsecurity=False), 0
        with part.open("wb") as stream:
            for piece in self.container.read_chunks(blob.path):
                stream.write(piece)
                digest.update(piece)
                size += len(piece)
        if size != blob.size or (blob.md5 and digest.hexdigest() != blob.md5):
            raise StorageError(
                f"{blob.path} arrived damaged ({size} of {blob.size} bytes)",
                "Type the same command again.",
                code="Damaged",
            )
        part.replace(target)
        return False, size


def _is_whole(target: Path, blob: Blob) -> bool:
    try:
        if target.stat().st_size != blob.size:
            return False
        digest = hashlib.md5(usedforsecurity=False)
        with target.open("rb") as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return False
    return blob.md5 is None or digest.hexdigest() == blob.md5


def _check_variant(spec: RunSpec, variant: str | None) -> None:
    known = [one.name for one in spec.recipe.variants]
    if variant is not None and variant not in known:
        raise InputError(f"run {spec.run} has no variant {variant!r}", f"It has {', '.join(known)}.")


def _parts_folder(to: Path) -> Path:
    """A folder of this process for files on their way; those of processes that have died are removed."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        root = to / PARTS
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            if not (old.name.isdecimal() and psutil.pid_exists(int(old.name))):
                shutil.rmtree(old, ignore_errors=True)
        parts = root / str(os.getpid())
        parts.mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{str(to)!r} is not a folder", "Give a folder with --to.") from None
    except OSError as error:
        raise _full_or_broken(error, to) from error
    return parts


def _write_results(services: Services, spec: RunSpec, to: Path, parts: Path) -> Path:
    part, target = parts / "results.jsonl", to / "results.jsonl"
    with part.open("wb") as stream:
        stream.writelines(_lines(services, spec))
    part.replace(target)
    return target


def _lines(services: Services, spec: RunSpec) -> Iterator[bytes]:
    for record in records(services, spec):
        yield dump(record) + b"\n"


def _full_or_broken(error: OSError, to: Path) -> MachineError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return MachineError(
            f"the disk of {str(to)!r} is full",
            "Make room and type the same command again: files that have arrived are not fetched again.",
        )
    return MachineError(
        f"cannot write to {str(to)!r}: {error.strerror or error}",
        "See to its permissions, or give another --to.",
    )


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another download into the same folder is at work
