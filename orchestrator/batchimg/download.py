"""Download: a run's pictures to a folder, in parallel, verified; what is there already is not fetched again."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from batchimg.collect import records
from batchimg.connect import Services
from batchimg.disk import full_or_broken
from batchimg.errors import InputError
from batchimg.events import Event, Observer, Progressed, nobody
from batchimg.lineage import Lineage, lineage, records_of_all
from batchimg.localpath import LocalNames
from batchimg.parallel import in_parallel
from batchimg_worker.contract import ImageResult, RunSpec
from batchimg_worker.documents import dump
from batchimg_worker.errors import StorageError
from batchimg_worker.storage import Blob, Container

MARK = ".batchimg-run"
PARTS = ".batchimg-parts"  # inside the folder, so that a finished file is moved, not copied
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download did; ``skipped`` files were there and whole, ``missing`` ones have a record and are gone.

    ``damaged`` counts documents whose records cannot all be read.
    """

    folder: Path
    files: int
    skipped: int
    bytes: int
    results: Path
    missing: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a download goes. ``force``: also where another run's files are, which may be replaced."""

    path: Path
    force: bool = False

    def check(self, run: str) -> None:
        """Raise InputError where the folder has another run's files."""
        mark = self.path / MARK
        if mark.is_symlink():
            return
        try:
            other = mark.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return
        if other not in {"", run} and not self.force:  # empty: the disk was full when it was written
            raise InputError(
                f"{str(self.path)!r} has the files of run {other}, not of {run}",
                f"Give another folder: --to {self.path.name}-2; or --force to write over files of the same names.",
            )

    def mark(self, run: str) -> None:
        """Write down whose files they are; a link in the mark's place is replaced and not followed."""
        mark = self.path / MARK
        if mark.is_symlink():
            mark.unlink()
        try:
            mark.write_text(f"{run}\n", "utf-8")
        except OSError:
            mark.unlink(missing_ok=True)
            raise


def download(
    services: Services, spec: RunSpec, to: Folder, variant: str | None = None, observer: Observer = nobody
) -> Downloaded:
    """Fetch the pictures of a run, or of one variant, and its records as ``results.jsonl``, into a folder of its own.

    Those that it goes on from are part of it: the latest run's picture of an image is the one that is fetched.
    Every file is checked against its MD5 before it gets its name. Interrupted, the same call goes on. Raises
    InputError for an unknown variant, and for a folder that has another run, MachineError where the disk is full.
    """
    _check_variant(spec, variant)
    to.check(spec.run)
    parts = _parts_folder(to.path)
    fetcher = _Fetcher(services.outputs, LocalNames(to.path), parts)
    files = skipped = size = 0
    try:
        to.mark(spec.run)
        family = lineage(services, spec)
        wanted = _pictures(services, family, variant)
        for was_there, length in in_parallel(fetcher.fetch, wanted, services.settings.download_threads):
            files += 1
            skipped += was_there
            size += length
            observer(Progressed("download", files, None, unit="files", bytes=size, skipped=skipped))
        damage: list[Event] = []
        found = records_of_all(services, family, damage.append)
        results, wanted_files = _write_results(found, to.path, variant)
        for event in damage:
            observer(event)
    except OSError as error:
        raise full_or_broken(error, to.path) from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        _remove_if_empty(parts.parent)
    return Downloaded(to.path, files, skipped, size, results, max(wanted_files - files, 0), len(damage))


@dataclass(frozen=True, slots=True)
class _Fetcher:
    container: Container
    names: LocalNames
    parts: Path

    def fetch(self, blob: Blob) -> tuple[bool, int]:
        """Fetch one picture; True where it was there already."""
        target = self.names.place(_name(blob))
        self.names.make_room(target)
        if _is_whole(target, blob):
            return True, blob.size
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


def _pictures(services: Services, family: Lineage, variant: str | None) -> Iterator[Blob]:
    """The pictures of a run and of those that it goes on from, but for what a later run has in their place."""
    taken: set[str] = set()
    for number, spec in enumerate(family):
        if number:
            taken |= set(_outdated(services, family[number - 1], spec))
        for blob in services.outputs.list(f"{spec.run}/{variant}/" if variant else f"{spec.run}/"):
            name = _name(blob)
            if name not in taken:
                yield blob
                if spec is not family[-1]:
                    taken.add(name)


def _outdated(services: Services, later: RunSpec, earlier: RunSpec) -> Iterator[str]:
    """Pictures of images that have changed since, and could not be done then."""
    undone = {record.path for record in records(services, later) if record.status != "done"}
    if undone:
        for record in records(services, earlier):
            if record.path in undone:
                yield from (f"{output.variant}/{output.path}" for output in record.outputs)


def _name(blob: Blob) -> str:
    """A picture's path below its run."""
    return blob.path.partition("/")[2]


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
        if root.is_symlink():
            raise InputError(f"{str(root)!r} is a link: nothing is written through it", "Remove the link.")
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            if not (old.name.isdecimal() and psutil.pid_exists(int(old.name))):
                shutil.rmtree(old, ignore_errors=True)
        parts = root / str(os.getpid())
        parts.mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{str(to)!r} is not a folder", "Give a folder with --to.") from None
    except OSError as error:
        raise full_or_broken(error, to) from error
    return parts


def _write_results(found: Iterator[ImageResult], to: Path, variant: str | None) -> tuple[Path, int]:
    """Write the records; gives their file, and how many pictures they tell of."""
    part, target = to / PARTS / str(os.getpid()) / "results.jsonl", to / "results.jsonl"
    pictures = 0
    with part.open("wb") as stream:
        for record in found:
            stream.write(dump(record) + b"\n")
            pictures += sum(variant in {None, output.variant} for output in record.outputs)
    part.replace(target)
    return target, pictures


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another download into the same folder is at work
