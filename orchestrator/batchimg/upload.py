"""Upload: send what blob storage does not have yet; what is there (same size and MD5) is not sent again."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batchimg.dataset import Dataset, Rejected
from batchimg.events import Observer, Progressed, nobody
from batchimg.parallel import in_parallel
from batchimg_worker.contract import INPUTS, Source
from batchimg_worker.storage import BlobStore, Container

IN_MEMORY = 8 << 20  # a larger file is read twice, once for its checksum and once to send it
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
    source = Source(container=INPUTS, prefix=f"{dataset.name}/")
    container = store.container(INPUTS)
    sender = _Sender(dataset.root, container, source.prefix, _there(container, source.prefix))
    results: list[_Sent] = []
    moved = skipped = 0
    for sent in in_parallel(sender.send, _numbered(dataset), threads):
        results.append(sent)
        skipped += sent.skipped
        moved += sent.size
        observer(Progressed("upload", len(results), len(dataset), bytes=moved, skipped=skipped))
    return _with_digests(dataset, results), source


def _there(container: Container, prefix: str) -> dict[str, tuple[int, str | None]]:
    return {blob.path[len(prefix) :]: (blob.size, blob.md5) for blob in container.list(prefix)}


def _numbered(dataset: Dataset) -> Iterator[tuple[int, str]]:
    yield from enumerate(dataset.paths)


@dataclass(frozen=True, slots=True)
class _Sender:
    root: Path
    container: Container
    prefix: str
    there: dict[str, tuple[int, str | None]]

    def send(self, item: tuple[int, str]) -> _Sent:
        index, path = item
        file = self.root / path
        try:
            size = file.stat().st_size
            if size > IN_MEMORY:
                return self._send_large(index, path, file)
            content = file.read_bytes()
        except OSError as error:
            return _Sent(index, 0, bytes(16), skipped=False, problem=error.strerror or type(error).__name__)
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        skipped = self.there.get(path) == (len(content), digest.hex())
        if not skipped:
            self.container.write(self.prefix + path, content, md5=digest)
        return _Sent(index, len(content), digest, skipped)

    def _send_large(self, index: int, path: str, file: Path) -> _Sent:
        with file.open("rb") as stream:
            summer, size = hashlib.md5(usedforsecurity=False), 0
            while piece := stream.read(HASH_PIECE):
                summer.update(piece)
                size += len(piece)
            skipped = self.there.get(path) == (size, summer.hexdigest())
            if not skipped:
                stream.seek(0)
                self.container.write(self.prefix + path, stream, md5=summer.digest())
        return _Sent(index, size, summer.digest(), skipped)


def _with_digests(dataset: Dataset, results: list[_Sent]) -> Dataset:
    results.sort(key=lambda sent: sent.index)
    good = [sent for sent in results if sent.problem is None]
    unread = tuple(
        Rejected(
            dataset.paths[sent.index],
            dataset.sizes[sent.index],
            "Unreadable",
            f"cannot be read: {sent.problem}",
        )
        for sent in results
        if sent.problem is not None
    )
    return replace(
        dataset,
        paths=[dataset.paths[sent.index] for sent in good],
        sizes=array("Q", (sent.size for sent in good)),
        digests=b"".join(sent.digest for sent in good),
        rejected=dataset.rejected + unread,
    )
