"""Blob storage, for both sides: the only importer of the blob client, and where its errors are translated."""

import contextlib
import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batchimg_worker.errors import StorageError
from batchimg_worker.listing import Blob, Listings, blobs_of

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

    from batchimg_worker.direct_blob import DirectBlobs

MIB = 1 << 20
SINGLE_PUT_BYTES = 8 * MIB  # a larger blob goes in blocks, so that it need not be in memory at once
SINGLE_GET_BYTES = 32 * MIB
BLOCK_BYTES = 4 * MIB
BLOCKS_AT_ONCE = 4  # of a file that is written; what is in memory goes one by one: there are many of those at a time

NOTHING: Mapping[str, bytes] = MappingProxyType({})

__all__ = ["LONG", "SHORT", "Blob", "BlobStore", "Container", "Patience", "is_loopback", "reason_of", "translated"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is sent again, with a pause that grows from 2 s by 1.6 each time.

    ``busy`` counts 5xx and lost connections, ``away`` refused connections.
    """

    busy: int
    away: int


SHORT = Patience(busy=5, away=2)  # somebody is looking: 30 s for a busy service, 5 s for one that is not there
LONG = Patience(busy=8, away=7)  # nobody is: a minute or two


def is_loopback(endpoint: str) -> bool:
    """Whether a URL points at this machine: the only place where a key may be used."""
    with contextlib.suppress(ValueError):
        host = urlsplit(endpoint).hostname or ""
        if host == "localhost":
            return True
        return ipaddress.ip_address(host).is_loopback
    return False


class BlobStore:
    """One storage account. Thread-safe; ``key`` is for loopback only, everything else is keyless.

    ``patience`` is how long it rides out a service that is busy or away.
    """

    def __init__(self, endpoint: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        if key and not is_loopback(endpoint):
            raise StorageError(
                f"a storage key is not used for {endpoint}",
                "Keys are for the local stack only: remove the key, batchimg signs in with your Azure identity.",
                code="KeyRefused",
            )
        self.endpoint = endpoint.rstrip("/")
        credential = _credential(self.endpoint, key)
        self._listings = Listings()
        self._service = _service(self.endpoint, credential, patience or SHORT, self._listings)
        self._direct = _direct(self.endpoint, key, credential)

    def container(self, name: str, instead: Mapping[str, bytes] = NOTHING) -> "Container":
        """A container of this account; nothing is sent. Where it is read, ``instead`` has what counts of some blobs."""
        return Container(self._service.get_container_client(name), self._listings, self._direct, instead)

    def create_container(self, name: str) -> None:
        """Make a container unless it is there."""
        from azure.core.exceptions import ResourceExistsError

        with (
            translated(f"create container {name!r} in {self.endpoint}"),
            contextlib.suppress(ResourceExistsError),
        ):
            self._service.create_container(name)

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()
        if self._direct is not None:
            self._direct.close()


class Container:
    """One container: whole blobs in and out, each write atomic."""

    def __init__(
        self,
        client: "ContainerClient",
        listings: Listings,
        direct: "DirectBlobs | None" = None,
        instead: Mapping[str, bytes] = NOTHING,
    ) -> None:
        self._client, self._listings, self._direct, self._instead = client, listings, direct, instead
        self.name = str(client.container_name)

    def read(self, path: str) -> bytes:
        """The whole blob. Raises StorageError, with code BlobNotFound where it is not there."""
        if path in self._instead:
            return self._instead[path]
        content = self._direct.read(self.name, path) if self._direct is not None else None
        if content is not None:
            return content
        with translated(f"read {self.name}/{path}"):
            return bytes(self._blob(path).download_blob().readall())

    def read_range(self, path: str, start: int, count: int, etag: str | None = None) -> bytes:
        """So many bytes of a blob, from a place on; fewer where it ends.

        Raises StorageError, with code ConditionNotMet where the blob is not the one with this ``etag``.
        """
        with translated(f"read {self.name}/{path}"):
            blob = self._blob(path)
            if etag is None:
                return bytes(blob.download_blob(start, count).readall())
            from azure.core import MatchConditions

            same = MatchConditions.IfNotModified
            return bytes(blob.download_blob(start, count, etag=f'"{etag}"', match_condition=same).readall())

    def read_chunks(self, path: str) -> Iterator[bytes]:
        """The blob in pieces of some megabytes."""
        with translated(f"read {self.name}/{path}"):
            yield from self._blob(path).download_blob().chunks()

    def read_lines(self, path: str) -> Iterator[bytes]:
        """The blob's lines, without the line ends; memory holds one piece of it at a time."""
        rest = b""
        for piece in self.read_chunks(path):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def write(
        self,
        path: str,
        content: bytes | IO[bytes],
        *,
        md5: bytes | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Put a blob in place of what is there, all of it or nothing; its MD5 is kept and checked on the way.

        ``md5`` (16 bytes) is computed where it is not given and the content is bytes.
        """
        if md5 is None and isinstance(content, bytes):
            md5 = hashlib.md5(content, usedforsecurity=False).digest()
        if self._written_directly(path, content, md5, metadata):
            return
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type="application/octet-stream", content_md5=bytearray(md5) if md5 else None)
        with translated(f"write {self.name}/{path}"):
            self._blob(path).upload_blob(
                content,
                overwrite=True,
                metadata=metadata,
                content_settings=settings,
                validate_content=True,
                max_concurrency=1 if isinstance(content, bytes) else BLOCKS_AT_ONCE,
            )

    def _written_directly(
        self, path: str, content: bytes | IO[bytes], md5: bytes | None, metadata: dict[str, str] | None
    ) -> bool:
        """Whether a small blob without metadata was written with one plain request."""
        if self._direct is None or metadata or md5 is None or not isinstance(content, bytes):
            return False
        return len(content) <= SINGLE_PUT_BYTES and self._direct.write(self.name, path, content, md5)

    def stat(self, path: str) -> Blob | None:
        """What the service knows of a blob, None where it is not there."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"look at {self.name}/{path}"):
            try:
                return _blob(self._blob(path).get_blob_properties())
            except ResourceNotFoundError:
                return None

    def list(self, prefix: str = "", *, metadata: bool = False) -> Iterator[Blob]:
        """All blobs below a prefix, in the order of their names; 5,000 a request."""
        with translated(f"list {self.name}/{prefix}"):
            names = self._client.list_blob_names(
                name_starts_with=prefix or None,
                include=["metadata"] if metadata else None,
            )
            for _ in names.by_page():
                yield from blobs_of(self._listings.page())

    def folders(self, prefix: str = "") -> Iterator[str]:
        """The names of the folders right below a prefix, without the slashes."""
        from azure.storage.blob import BlobPrefix

        with translated(f"list {self.name}/{prefix}"):
            for item in self._client.walk_blobs(name_starts_with=prefix or None, delimiter="/"):
                if isinstance(item, BlobPrefix):
                    yield str(item.name)[len(prefix) :].rstrip("/")

    def delete(self, path: str, etag: str | None = None) -> bool:
        """Delete a blob; False where it was gone already, or is not the one with this ``etag`` any more."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        with translated(f"delete {self.name}/{path}"):
            try:
                if etag is None:
                    self._blob(path).delete_blob(delete_snapshots="include")
                else:
                    same = MatchConditions.IfNotModified
                    self._blob(path).delete_blob(delete_snapshots="include", etag=f'"{etag}"', match_condition=same)
            except (ResourceNotFoundError, ResourceModifiedError):
                return False
        return True

    def _blob(self, path: str) -> "BlobClient":
        """The client of one blob. Raises StorageError for a path that a URL would resolve to another one."""
        if "\\" in path or any(part in {".", ".."} for part in path.split("/")):
            raise StorageError(
                f"{self.name}/{path} is no path of a blob: it could lead out of its folder", code="UnsafePath"
            )
        return self._client.get_blob_client(path)


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn whatever the client raises into StorageError, once and here."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        raise StorageError(
            f"cannot {action}: signing in failed: {reason_of(error)}",
            "Sign in with `az login`, and see that you have the role Storage Blob Data Contributor.",
            code="AuthenticationFailed",
        ) from error
    except HttpResponseError as error:
        known = getattr(error, "error_code", None)
        code = str(getattr(known, "value", known) or error.status_code or "Unknown")
        raise StorageError(f"cannot {action}: {reason_of(error)} ({code})", _hint(code), code=code) from error
    except AzureError as error:
        raise StorageError(
            f"cannot {action}: no answer from blob storage: {reason_of(error)}",
            "Is the endpoint right and reachable? `batchimg local status` tells of the local stack.",
            code="Unreachable",
        ) from error


def _hint(code: str) -> str:
    hints = {
        "AuthorizationPermissionMismatch": "Your identity needs the role Storage Blob Data Contributor on the account.",
        "AuthorizationFailure": "The account's network rules or roles keep you out: see `allowed_ips`, `submitters`.",
        "ContainerNotFound": "See that the container's name is right; `pulumi up` or `batchimg local up` makes them.",
        "BlobNotFound": "It has been deleted, or was never written.",
    }
    return hints.get(code, "")


def reason_of(error: BaseException) -> str:
    """One line; of a failed connection only what the system said."""
    text = str(getattr(error, "message", None) or error).strip()
    system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    if system:
        return system[1]
    return text.splitlines()[0][:300] if text else type(error).__name__


def _blob(properties: Any) -> Blob:
    digest = properties.content_settings.content_md5
    return Blob(
        path=str(properties.name),
        size=int(properties.size),
        md5=bytes(digest).hex() if digest else None,
        etag=str(properties.etag or "").strip('"'),
        metadata=dict(properties.metadata or {}),
    )


def _direct(endpoint: str, key: str | None, credential: Any) -> "DirectBlobs | None":
    from batchimg_worker import direct_blob

    if not direct_blob.suits(endpoint, loopback=is_loopback(endpoint)):
        return None
    signer = direct_blob.KeySigner(endpoint, key) if key else direct_blob.TokenSigner(credential)
    return direct_blob.DirectBlobs(endpoint, signer)


def _service(endpoint: str, credential: Any, patience: Patience, listings: Listings) -> "BlobServiceClient":
    from azure.storage.blob import BlobServiceClient, ExponentialRetry

    from batchimg_worker.throttling import ThrottledTransport

    return BlobServiceClient(
        endpoint,
        credential=credential,
        transport=ThrottledTransport(session=_session(endpoint), connection_timeout=10, read_timeout=120),
        retry_policy=ExponentialRetry(
            initial_backoff=0.4,  # type: ignore[arg-type] # the client takes parts of seconds, its annotation does not
            increment_base=1.6,  # type: ignore[arg-type]
            random_jitter_range=1,
            retry_total=patience.busy,
            retry_status=patience.busy,
            retry_read=patience.busy,
            retry_connect=patience.away,
        ),
        raw_response_hook=listings.hear,
        max_single_put_size=SINGLE_PUT_BYTES,
        max_block_size=BLOCK_BYTES,
        max_single_get_size=SINGLE_GET_BYTES,
        max_chunk_get_size=BLOCK_BYTES,
    )


def _credential(endpoint: str, key: str | None) -> Any:
    if key:
        account = urlsplit(endpoint).path.strip("/").split("/", maxsplit=1)[0]
        return {"account_name": account, "account_key": key}
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _session(endpoint: str) -> Any:
    """A session whose pool holds a connection for every thread that we start (the default holds 10).

    A proxy of the environment is not asked for this machine's own ports.
    """
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.trust_env = not is_loopback(endpoint)
    adapter = HTTPAdapter(pool_connections=8, pool_maxsize=64, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
