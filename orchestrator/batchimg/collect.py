"""Collect: the final records of a run's images, as a stream."""

from collections.abc import Iterator

from batchimg.connect import Services
from batchimg.submit import REJECTED
from batchimg_worker.contract import ImageResult, ResultHeader, RunSpec, parse, parse_lines
from batchimg_worker.errors import StorageError


def records(services: Services, spec: RunSpec) -> Iterator[ImageResult]:
    """One record an image, in the order of the chunks; those that stayed behind come first."""
    yield from rejected(services, spec)
    for blob in services.runs.list(f"{spec.run}/results/"):
        yield from chunk_records(services, blob.path)


def chunk_records(services: Services, path: str) -> Iterator[ImageResult]:
    """The records of one result."""
    lines = services.runs.read_lines(path)
    parse(ResultHeader, next(lines, b""), path)
    yield from parse_lines(ImageResult, lines, path)


def rejected(services: Services, spec: RunSpec) -> Iterator[ImageResult]:
    """The records of images that were never sent."""
    if not spec.rejected:
        return
    path = f"{spec.run}/{REJECTED}"
    try:
        content = services.runs.read(path)
    except StorageError as error:
        if error.code == "BlobNotFound":
            return
        raise
    yield from parse_lines(ImageResult, iter(content.splitlines()), path)
