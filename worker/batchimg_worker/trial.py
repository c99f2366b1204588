"""`python -m batchimg_worker.trial`: a chunk done with files instead of blobs, to see what its images take.

The data path is that of a task; originals come from a folder, pictures are dropped, and the records are printed.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from batchimg_worker.attachments import recipe_of
from batchimg_worker.blob_names import manifest_path, run_path
from batchimg_worker.contract import ImageEntry, ManifestHeader, RunSpec
from batchimg_worker.documents import dump, parse, parse_lines
from batchimg_worker.errors import StorageError
from batchimg_worker.listing import Blob
from batchimg_worker.memory import keep_freed_memory
from batchimg_worker.node import peak_memory_bytes
from batchimg_worker.pipeline import Pipeline, Places
from batchimg_worker.storage import Container

PIECE_BYTES = 4 << 20


class Folder(Container):
    """A folder in place of a container: it is read, and nothing is written to it."""

    def __init__(self, root: Path) -> None:
        self.name, self._root = str(root), root

    def read(self, path: str) -> bytes:
        """A whole file."""
        return b"".join(self.read_chunks(path))

    def read_chunks(self, path: str) -> Iterator[bytes]:
        """A file in pieces."""
        try:
            with (self._root / path).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}", code="BlobNotFound") from None

    def stat(self, path: str) -> Blob | None:
        """Nothing is known, so originals are read as a whole."""
        del path
        return None

    def write(
        self,
        path: str,
        content: bytes | IO[bytes],
        *,
        md5: bytes | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Drop what would be written."""

    def delete(self, path: str, etag: str | None = None) -> bool:
        """There is nothing to delete."""
        del path, etag
        return False


def main() -> None:
    """Arguments: the folder that stands for the container of runs, the run, the originals' folder, seconds at most."""
    runs, run, originals, seconds = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
    logging.basicConfig(level=logging.CRITICAL)
    keep_freed_memory()
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    with _records() as records:
        _try(Folder(runs), run, Folder(originals), stop, records)
    os._exit(0)  # a fetch of an image that nobody waits for any more is not worth waiting for


def _records() -> IO[bytes]:
    """Standard output, for the records alone: what the user's operations print goes to standard error."""
    records = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return records


def _try(runs: Folder, run: str, originals: Folder, stop: threading.Event, records: IO[bytes]) -> None:
    spec = parse(RunSpec, runs.read(run_path(run)), run_path(run))
    spec = spec.model_copy(update={"recipe": recipe_of(spec, runs)})
    path = manifest_path(run, 0)
    lines = runs.read_lines(path)
    parse(ManifestHeader, next(lines, b""), path)
    pipeline = Pipeline(spec, Places(originals, runs), stop)
    for record in pipeline.run(parse_lines(ImageEntry, lines, path)):
        made = record.model_copy(update={"peak_memory_bytes": peak_memory_bytes()})
        records.write(dump(made) + b"\n")
        records.flush()


if __name__ == "__main__":
    main()
