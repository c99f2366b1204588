"""Collect: the final records of a run's images, as a stream."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from batchimg.connect import Services
from batchimg.events import Observer, Told, nobody
from batchimg_worker.blob_names import rejected_path
from batchimg_worker.contract import ImageResult, PartHeader, RunSpec
from batchimg_worker.documents import parse, parse_lines, whole_lines
from batchimg_worker.errors import ContractError, ContractVersionError, StorageError
from batchimg_worker.results import records_of


def records(services: Services, spec: RunSpec, observer: Observer = nobody) -> Iterator[ImageResult]:
    """One record an image, in the order of the chunks; those that stayed behind come first.

    Of a chunk without a result there are the records so far; of a document that is damaged those before the damage,
    which the observer is told of.
    """
    yield from rejected(services, spec, observer)
    there = set()
    for blob in services.runs.list(f"{spec.run}/results/"):
        there.add(PurePosixPath(blob.path).name)
        yield from chunk_records(services, blob.path, observer)
    if len(there) < spec.chunks:
        for blob in services.runs.list(f"{spec.run}/parts/"):
            if PurePosixPath(blob.path).name not in there:
                yield from _until_damage(_part_records(services, blob.path), observer)


def _until_damage(found: Iterator[ImageResult], observer: Observer) -> Iterator[ImageResult]:
    try:
        yield from found
    except ContractVersionError:
        raise
    except ContractError as error:
        observer(Told(f"{error.message}: the images that it does not tell of are left out."))


def _part_records(services: Services, path: str) -> Iterator[ImageResult]:
    try:
        lines = whole_lines(services.runs.read_lines(path))
        parse(PartHeader, next(lines, b""), path)
        found = parse_lines(ImageResult, lines, path)
        yield from (record for record in found if record.band is None)
    except StorageError as error:
        if error.code != "BlobNotFound":  # the chunk has been finished meanwhile
            raise


def chunk_records(services: Services, path: str, observer: Observer = nobody) -> Iterator[ImageResult]:
    """The records of one result, of a damaged one those before the damage."""
    run, _, name = path.partition("/results/")
    return _until_damage(records_of(services.runs.read_lines(path), run, number_of(name)), observer)


def number_of(path: str) -> int:
    """The chunk of which a blob tells, by its name; -1 for a name that is no chunk's."""
    stem = PurePosixPath(path).stem
    return int(stem) if stem.isdecimal() else -1


def rejected(services: Services, spec: RunSpec, observer: Observer = nobody) -> Iterator[ImageResult]:
    """The records of images that were never sent."""
    if not spec.rejected:
        return
    path = rejected_path(spec.run)
    try:
        content = services.runs.read(path)
    except StorageError as error:
        if error.code == "BlobNotFound":
            return
        raise
    yield from _until_damage(parse_lines(ImageResult, iter(content.splitlines()), path), observer)
