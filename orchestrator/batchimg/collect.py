"""Collect: the final records of a run's images, as a stream."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from batchimg.connect import Services
from batchimg_worker.contract import (
    ImageResult,
    PartHeader,
    ResultHeader,
    RunSpec,
    parse,
    parse_lines,
    rejected_path,
    whole_lines,
)
from batchimg_worker.errors import StorageError


def records(services: Services, spec: RunSpec) -> Iterator[ImageResult]:
    """One record an image, in the order of the chunks; those that stayed behind come first.

    Of a chunk without a result there are the records so far.
    """
    yield from rejected(services, spec)
    there = set()
    for blob in services.runs.list(f"{spec.run}/results/"):
        there.add(PurePosixPath(blob.path).name)
        yield from chunk_records(services, blob.path)
    if len(there) < spec.chunks:
        for blob in services.runs.list(f"{spec.run}/parts/"):
            if PurePosixPath(blob.path).name not in there:
                yield from _part_records(services, blob.path)


def _part_records(services: Services, path: str) -> Iterator[ImageResult]:
    try:
        lines = whole_lines(services.runs.read_lines(path))
        parse(PartHeader, next(lines, b""), path)
        yield from _of_images(parse_lines(ImageResult, lines, path))
    except StorageError as error:
        if error.code != "BlobNotFound":  # the chunk has been finished meanwhile
            raise


def chunk_records(services: Services, path: str) -> Iterator[ImageResult]:
    """The records of one result."""
    lines = services.runs.read_lines(path)
    parse(ResultHeader, next(lines, b""), path)
    yield from _of_images(parse_lines(ImageResult, lines, path))


def _of_images(found: Iterator[ImageResult]) -> Iterator[ImageResult]:
    """Without those of bands: the task that joins them has the image's record."""
    return (record for record in found if record.band is None)


def rejected(services: Services, spec: RunSpec) -> Iterator[ImageResult]:
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
    yield from parse_lines(ImageResult, iter(content.splitlines()), path)
