"""Results: what has to hold of one. One that is damaged counts as not there, beyond the records that can be read."""

from collections.abc import Iterator

from batchimg_worker.blob_names import result_path
from batchimg_worker.contract import ImageResult, ResultHeader
from batchimg_worker.documents import ANEW, parse, parse_lines
from batchimg_worker.errors import ContractError

DAMAGED = "ResultDamaged"
"""The ``error_type`` of images of which a damaged result tells nothing."""


def header_of(lines: Iterator[bytes], run: str, chunk: int) -> ResultHeader:
    """The first line of a chunk's result. Raises ContractError, also for the result of another chunk."""
    path = result_path(run, chunk)
    header = parse(ResultHeader, next(lines, b""), path)
    if (header.run, header.chunk) != (run, chunk):
        raise ContractError(f"{path} is the result of chunk {header.chunk} of run {header.run}", ANEW)
    return header


def check_count(header: ResultHeader, found: int) -> None:
    """Raise ContractError where a result has fewer records of images than its header says."""
    expected = header.done + header.failed
    if found < expected:
        path = result_path(header.run, header.chunk)
        raise ContractError(f"{path} ends after {found:,} of {expected:,} records", ANEW)


def records_of(lines: Iterator[bytes], run: str, chunk: int) -> Iterator[ImageResult]:
    """The records of a chunk's result, without those of bands: the task that joins them has the image's.

    Raises ContractError where the result is damaged, when all before the damage has been given.
    """
    header = header_of(lines, run, chunk)
    found = 0
    for record in parse_lines(ImageResult, lines, result_path(run, chunk)):
        if record.band is None:
            found += 1
            yield record
    check_count(header, found)
