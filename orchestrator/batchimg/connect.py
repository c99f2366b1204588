"""Connect: the settings' endpoints, or the local stack where none is set; the URL is all that differs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from batchimg.batch import Batch
from batchimg.errors import ServiceError
from batchimg.events import Observer, Told, nobody
from batchimg.settings import Settings
from batchimg_worker.blob_names import OUTPUTS, RUNS
from batchimg_worker.contract import Source
from batchimg_worker.storage import BlobStore, Container


@dataclass(frozen=True, slots=True)
class Services:
    """What a command talks to.

    ``instead`` are documents of runs, by path, that are read in place of those that are there: what a submit would
    write first, for its plan. ``looks_only``: who uses them writes nothing, not even a ledger that was merged.
    """

    batch: Batch
    store: BlobStore
    settings: Settings
    is_local: bool
    instead: Mapping[str, bytes] = field(default_factory=dict)
    looks_only: bool = False

    def store_of(self, source: Source) -> BlobStore:
        """The account in which originals lie: the run's own, or the one that the source names."""
        return self.store if source.account_url is None else BlobStore(source.account_url)

    @property
    def runs(self) -> Container:
        """Where everything about runs lies that is not a picture."""
        return self.store.container(RUNS, self.instead)

    @property
    def outputs(self) -> Container:
        """Where the pictures lie."""
        return self.store.container(OUTPUTS)


@contextmanager
def connect(settings: Settings, observer: Observer = nobody, *, announce: bool = False) -> Iterator[Services]:
    """The services that the settings name; the local stack is started where they name none.

    That the stack is local is said when it is started, and with ``announce`` always.
    """
    services = _local(settings, observer, announce) if settings.is_local else _configured(settings)
    try:
        yield services
    finally:
        services.batch.close()
        services.store.close()


def is_reachable(settings: Settings) -> bool:
    """Whether there is something to connect to without starting it: Azure, or a local stack that runs."""
    if not settings.is_local:
        return True
    from batchimg.local.running import find

    return find() is not None


def _configured(settings: Settings) -> Services:
    key, batch_key = settings.storage_key, settings.batch_key
    batch_endpoint, storage_endpoint = settings.batch_endpoint or "", settings.storage_endpoint or ""
    return Services(
        batch=Batch(batch_endpoint, settings.batch_account, batch_key.get_secret_value() if batch_key else None),
        store=BlobStore(storage_endpoint, key.get_secret_value() if key else None),
        settings=settings,
        is_local=False,
    )


def _local(settings: Settings, observer: Observer, announce: bool) -> Services:
    from batchimg.local.running import find
    from batchimg.local.start import start

    if announce or find() is None:
        observer(Told("No Azure endpoint is configured: this runs on the local stack (`batchimg local status`)."))
    stack = start(settings, observer)
    return Services(
        batch=Batch(stack.batch_endpoint, stack.batch_account, stack.batch_key),
        store=BlobStore(stack.blob_endpoint, stack.storage_key),
        settings=settings,
        is_local=True,
    )


def check_pool(services: Services) -> None:
    """Raise ServiceError where the pool that the settings name is missing."""
    pool = services.settings.pool
    if not services.batch.pool_exists(pool):
        raise ServiceError(
            f"there is no pool {pool!r} at {services.batch.endpoint}",
            "`pulumi up` makes it; the setting `pool` names it.",
            code="PoolNotFound",
        )
