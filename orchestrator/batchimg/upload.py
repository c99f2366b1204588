"""Upload: send what blob storage does not have yet; what is there (same size and MD5) is not sent again."""

import hashlib
from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Semaphore

from batchimg.dataset import Dataset, Rejected
from batchimg.events import Observer, Progressed, nobody
from batchimg.parallel import in_parallel
from batchimg_worker.blob_names import INPUTS
from batchimg_worker.contract import Source
from batchimg_worker.storage import BlobStore, Container

IN_MEMORY = 4 << 20  # a larger file is read twice, once for its checksum and once to send it
LARGE_AT_ONCE = 4  # each holds some blocks in memory
HASH_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Sent:
    index: int
    size: int
    digest: bytes
    skipped: bool
    problem: str | None = None


def upload(dataset: Dataset, store: BlobStore, threads: int, observer: Observer = nobody) -> tuple[Dataset, Source]:
    """Send a folder's images to ``inputs/<dataset>/`` and return the dataset with its checksums.

    A file that cannot be read is rejected, and the others go on. Interrupted, the same call continues.
    """
    if dataset.root is None:
        raise ValueError("only a folder is uploaded")
    source = place_of(dataset)
    container = store.container(INPUTS)
    sender = _Sender(dataset.root, container, source.prefix, _there(container, source.prefix))
    columns = _Columns(dataset)
    moved = skipped = 0
    for done, sent in enumerate(in_parallel(sender.send, enumerate(dataset.paths), threads), start=1):
        columns.note(sent)
        skipped += sent.skipped
        moved += sent.size
        observer(Progressed("upload", done, len(dataset), bytes=moved, skipped=skipped))
    return columns.dataset(), source


def place_of(dataset: Dataset) -> Source:
    """Where the images of a folder lie once they are sent."""
    return Source(container=INPUTS, prefix=f"{dataset.name}/")


def _there(container: Container, prefix: str) -> dict[str, bytes]:
    """What blob storage has: size and MD5 of each path, packed, for there may be millions."""
    return {
        blob.path[len(prefix) :]: _packed(blob.size, bytes.fromhex(blob.md5 or "")) for blob in container.list(prefix)
    }


def _packed(size: int, digest: bytes) -> bytes:
    return size.to_bytes(8) + digest


@dataclass(frozen=True, slots=True)
class _Sender:
    root: Path
    container: Container
    prefix: str
    there: dict[str, bytes]
    large: Semaphore = field(default_factory=lambda: Semaphore(LARGE_AT_ONCE))

    def send(self, item: tuple[int, str]) -> _Sent:
        index, path = item
        file = self.root / path
        try:
            if file.stat().st_size > IN_MEMORY:
                with self.large:
                    return self._send_large(index, path, file)
            content = file.read_bytes()
        except OSError as error:
            return _Sent(index, 0, bytes(16), skipped=False, problem=error.strerror or type(error).__name__)
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        skipped = self.there.get(path) == _packed(len(content), digest)
        if not skipped:
            self.container.write(self.prefix + path, content, md5=digest)
        return _Sent(index, len(content), digest, skipped)

    def _send_large(self, index: int, path: str, file: Path) -> _Sent:
        with file.open("rb") as stream:
            summer, size = hashlib.md5(usedforsecurity=False), 0
            while piece := stream.read(HASH_PIECE):
                summer.update(piece)
                size += len(piece)
            skipped = self.there.get(path) == _packed(size, summer.digest())
            if not skipped:
                stream.seek(0)
                self.container.write(self.prefix + path, stream, md5=summer.digest())
        return _Sent(index, size, summer.digest(), skipped)


class _Columns:
    """What is learned of each image on the way, as columns."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._sizes = array("Q", dataset.sizes)
        self._digests = bytearray(16 * len(dataset))
        self._problems: dict[int, str] = {}

    def note(self, sent: _Sent) -> None:
        if sent.problem is not None:
            self._problems[sent.index] = sent.problem
        else:
            self._sizes[sent.index] = sent.size
            self._digests[16 * sent.index : 16 * sent.index + 16] = sent.digest

    def dataset(self) -> Dataset:
        """The dataset with checksums, and without what could not be read."""
        old, problems = self._dataset, self._problems
        if not problems:
            return replace(old, sizes=self._sizes, digests=bytes(self._digests))
        good = [index for index in range(len(old)) if index not in problems]
        whole = replace(old, sizes=self._sizes, digests=bytes(self._digests))
        unread = tuple(
            Rejected(old.paths[index], old.sizes[index], "Unreadable", f"cannot be read: {problem}")
            for index, problem in sorted(problems.items())
        )
        return replace(whole.only(good), rejected=old.rejected + unread)
