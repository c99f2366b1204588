"""The bands of huge images that several tasks share, in blob storage: what one of them made, and what another joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchimg_worker.blob_names import band_path, bands_prefix, result_path
from batchimg_worker.contract import ImageEntry, ImageResult, Output
from batchimg_worker.documents import parse_lines
from batchimg_worker.errors import BandsMissing, ContractError, InputError, StorageError
from batchimg_worker.ranged import read_ahead
from batchimg_worker.results import header_of
from batchimg_worker.storage import Container
from batchimg_worker.tiles.files import fetch


@dataclass(frozen=True, slots=True)
class BandStore:
    """The bands of a run, as the task of one of its chunks sees them."""

    runs: Container
    run: str
    chunk: int

    def path(self, number: int) -> str:
        """Where this chunk's band of a result goes, below the run's folder."""
        return band_path(self.chunk, number)

    def blob(self, path: str) -> str:
        """The whole path of what lies below the run's folder, in the container of runs."""
        return f"{self.run}/{path}"

    def records(self, chunks: tuple[int, ...]) -> tuple[ImageResult, ...]:
        """What the tasks of these chunks say of their bands.

        Raises BandsMissing where one has not said anything: its task ended without a result, and so does this one.
        """
        return tuple(self._record(number, chunk, len(chunks)) for number, chunk in enumerate(chunks, start=1))

    def _record(self, number: int, chunk: int, total: int) -> ImageResult:
        path = result_path(self.run, chunk)
        try:
            lines = iter(self.runs.read(path).splitlines())
        except StorageError as error:
            if error.code != "BlobNotFound":
                raise
            raise BandsMissing(
                f"band {number} of {total} cannot be joined: the task of chunk {chunk} ended without a result",
                f"Its log: batchimg logs {self.run} --chunk {chunk}.",
            ) from None
        header_of(lines, self.run, chunk)
        record = next(parse_lines(ImageResult, lines, path), None)
        if record is None or record.band is None:
            raise ContractError(f"{path} has no record of a band")
        return record

    def fetch(self, output: Output, folder: Path) -> Path:
        """Bring a band into a file of a folder.

        Raises BandsMissing where it is gone: another attempt has joined it, and its result is there by the next one.
        Raises InputError where it is damaged.
        """
        try:
            read = partial(self.runs.read_range, self.blob(output.path))
            return fetch(read_ahead(read, output.size), folder, output.size, output.md5)
        except InputError:
            raise InputError(f"{output.path} is damaged", "Do the image again: batchimg retry.") from None
        except StorageError as error:
            if error.code != "BlobNotFound":
                raise
            raise BandsMissing(f"{output.path} is gone", "Do the image again: batchimg retry.") from None

    def clear(self, entries: Iterator[ImageEntry]) -> None:
        """Delete the bands that these entries have joined."""
        for entry in entries:
            for chunk in entry.joins or ():
                for blob in self.runs.list(self.blob(bands_prefix(chunk))):
                    self.runs.delete(blob.path)


def undone(entry: ImageEntry, bands: tuple[ImageResult, ...]) -> ImageResult | None:
    """The record of an image whose bands could not all be made: that of the first such one; None where all were.

    Its message names the band, unless it is the same for all.
    """
    failed = [(number, band) for number, band in enumerate(bands, start=1) if band.status != "done"]
    if not failed:
        return None
    number, first = failed[0]
    alike = len({band.message for band in bands}) == 1
    return ImageResult(
        path=entry.path,
        size=entry.size,
        md5=entry.md5,
        etag=entry.etag,
        status=first.status,
        error_type=first.error_type,
        message=first.message if alike else f"band {number} of {len(bands)}: {first.message}",
        seconds=first.seconds,
    )
