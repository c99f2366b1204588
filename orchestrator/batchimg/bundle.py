"""The worker's bundle: a file in blob storage from which nodes install the worker."""

import hashlib
from pathlib import Path

from batchimg.errors import InputError, SettingsError
from batchimg_worker.storage import BlobStore, Container


def send(store: BlobStore, url: str, file: Path) -> bool:
    """Put a bundle where the pool's start task looks for it; False where the same one is there already."""
    container, path = place_of(store, url)
    try:
        digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).digest()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", "`make bundle` makes it.") from error
    there = container.stat(path)
    if there is not None and there.md5 == digest.hex():
        return False
    with file.open("rb") as stream:
        container.write(path, stream, md5=digest)
    return True


def is_there(store: BlobStore, url: str) -> bool:
    """Whether nodes will find their bundle."""
    container, path = place_of(store, url)
    return container.stat(path) is not None


def place_of(store: BlobStore, url: str) -> tuple[Container, str]:
    """The container and the path of a bundle's address. Raises SettingsError for one in another account."""
    start = f"{store.endpoint}/"
    container, _, path = url.removeprefix(start).partition("/")
    if not url.startswith(start) or not path:
        raise SettingsError(f"the bundle {url} does not lie at {store.endpoint}", "Run `batchimg configure` again.")
    return store.container(container), path
