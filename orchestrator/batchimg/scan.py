"""Scan: find the images of a dataset, by name and size; no file is opened."""

import glob
import hashlib
import os
import re
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchimg.dataset import Dataset, Rejected, is_image_name, unusable_name
from batchimg.errors import InputError
from batchimg_worker.contract import Source
from batchimg_worker.storage import BlobStore, is_loopback

BLOB_HOST = re.compile(r"^[a-z0-9]{3,24}\.blob\.(core\.windows\.net|core\.usgovcloudapi\.net|core\.chinacloudapi\.cn)$")


@dataclass
class _Found:
    """What a scan has met so far."""

    images: list[tuple[str, int]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0
    hidden: int = 0

    def meet(self, prefix: str, name: str, status: os.stat_result | None) -> None:
        """Take note of what is no folder; ``status`` is None for what cannot be looked at."""
        if not is_image_name(name) or (status is not None and not stat.S_ISREG(status.st_mode)):
            self.ignored += 1
        elif status is None:
            reason = "it is a link to nothing, or cannot be looked at"
            self.rejected.append(Rejected(prefix + name, 0, "Unreadable", reason))
        else:
            self.add(prefix + name, status.st_size)

    def add(self, path: str, size: int) -> None:
        reason = unusable_name(path)
        if reason is None:
            self.images.append((path, size))
        else:
            shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in path)
            self.rejected.append(Rejected(shown, size, "UnusableName", reason))


def scan(dataset: str) -> Dataset:
    """Find the images of a folder, a glob, or one file.

    Symbolic links are followed, each folder once. Raises InputError where there is nothing to find.
    """
    if not dataset.strip():
        raise InputError("--dataset is empty", "Give a folder of images, a glob in quotes, or a blob URL.")
    path = Path(dataset).expanduser()
    found = _Found()
    if path.is_dir():
        root = path
        _walk(root, found)
    elif path.is_file():
        root = path.parent
        found.add(path.name, path.stat().st_size)
    elif glob.has_magic(dataset):
        root = _scan_glob(path, found)
    else:
        raise InputError(f"no folder or file {dataset!r}", "Give a folder of images, a glob in quotes, or a blob URL.")
    if not found.images and not found.rejected:
        raise InputError(*_nothing(dataset, found))
    found.images.sort()
    return _dataset(dataset, _name_of(root), root, found)


def is_url(dataset: str) -> bool:
    """Whether a dataset lies in blob storage already."""
    return dataset.startswith(("https://", "http://"))


def source_of(dataset: str, account_url: str) -> Source:
    """Where a blob URL points. Raises InputError for a URL that no identity of ours should be sent to."""
    parts = urlsplit(dataset)
    if parts.query:
        raise InputError(
            "the dataset's URL has a query part; SAS tokens are not used",
            "Give https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX: batchimg signs in with your identity.",
        )
    local = is_loopback(dataset)
    if not local and (parts.scheme != "https" or not BLOB_HOST.match(parts.hostname or "")):
        raise InputError(
            f"{dataset} is not in Azure blob storage",
            "Give https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX.",
        )
    if local and not dataset.startswith(account_url.rstrip("/") + "/"):
        raise InputError(
            f"{dataset} is not in {account_url}", "A dataset on this machine lies in the storage account in use."
        )
    account, _, rest = parts.path.lstrip("/").partition("/") if local else ("", "", parts.path.lstrip("/"))
    container, _, prefix = unquote(rest).partition("/")
    if not container:
        raise InputError(f"{dataset} names no container", "Give https://…/CONTAINER or https://…/CONTAINER/PREFIX.")
    url = f"{parts.scheme}://{parts.netloc}/{account}".rstrip("/")
    prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
    return Source(container=container, prefix=prefix, account_url=None if url == account_url.rstrip("/") else url)


def scan_blobs(dataset: str, source: Source, store: BlobStore) -> Dataset:
    """Find the images of a container's prefix; sizes, MD5 and ETags come from the listing."""
    found, digests, tags = _Found(), {}, {}
    for blob in store.container(source.container).list(source.prefix):
        path = blob.path[len(source.prefix) :]
        if not is_image_name(path.rsplit("/", 1)[-1]):
            found.ignored += 1
            continue
        found.add(path, blob.size)
        digests[path] = bytes.fromhex(blob.md5) if blob.md5 else bytes(16)
        tags[path] = blob.etag
    if not found.images and not found.rejected:
        raise InputError(*_nothing(dataset, found))
    found.images.sort()
    name = _slug(f"{source.container}-{source.prefix}") + "-" + _short_hash(dataset)
    plain = _dataset(dataset, name, None, found)
    return Dataset(
        label=dataset,
        name=name,
        root=None,
        source=source,
        paths=plain.paths,
        sizes=plain.sizes,
        digests=b"".join(digests[path] for path in plain.paths),
        rejected=plain.rejected,
        ignored=plain.ignored,
        tags=[tags[path] for path in plain.paths],
    )


def _dataset(label: str, name: str, root: Path | None, found: _Found) -> Dataset:
    return Dataset(
        label=label,
        name=name,
        root=root,
        source=None,
        paths=[path for path, _ in found.images],
        sizes=array("Q", (size for _, size in found.images)),
        rejected=tuple(found.rejected),
        ignored=found.ignored,
        hidden=found.hidden,
    )


def _walk(root: Path, found: _Found) -> None:
    """All files below a folder. A folder that is met again through a link is not entered again."""
    top = root.stat()
    entered = {(top.st_dev, top.st_ino)}
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        for entry, status in _entries(folder, prefix, found):
            if entry.name.startswith("."):
                found.hidden += 1
            elif status is not None and stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if identity not in entered:
                    entered.add(identity)
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
            else:
                found.meet(prefix, entry.name, status)


def _entries(folder: str, prefix: str, found: _Found) -> Iterator[tuple[os.DirEntry[str], os.stat_result | None]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    yield entry, entry.stat()
                except OSError:
                    yield entry, None
    except OSError as error:
        if not prefix:
            raise InputError(f"cannot read folder {folder!r}: {error.strerror}", "See to its permissions.") from None
        found.rejected.append(
            Rejected(prefix.rstrip("/"), 0, "Unreadable", f"the folder cannot be read: {error.strerror}")
        )


def _scan_glob(pattern: Path, found: _Found) -> Path:
    root = pattern
    while glob.has_magic(str(root)):
        root = root.parent
    # Path.glob does not enter linked folders for `**`, so loops of links end.
    for path in sorted(set(root.glob(pattern.relative_to(root).as_posix()))):
        if path.name.startswith(".") or not path.is_file():
            continue
        if is_image_name(path.name):
            found.add(path.relative_to(root).as_posix(), path.stat().st_size)
        else:
            found.ignored += 1
    return root


def _nothing(dataset: str, found: _Found) -> tuple[str, str]:
    others = found.ignored + found.hidden
    return (
        f"no images in {dataset!r}" + (f" ({others:,} other files)" if others else ""),
        "Images are known by their names: .jpg, .png, .tif, .webp, .bmp, .gif and others.",
    )


def _name_of(root: Path) -> str:
    """The dataset's name in blob storage: readable, and another one for another folder of the same name."""
    full = root.resolve()
    return f"{_slug(full.name)}-{_short_hash(str(full))}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-") or "images"
