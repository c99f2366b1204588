"""What the commands call, in the test's own process, on the local stack."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from batchimg.batch import Batch
from batchimg.connect import Services
from batchimg.events import Told, nobody
from batchimg.ledger import batches
from batchimg.lineage import lineage
from batchimg.order import Order
from batchimg.recipes import read_instructions
from batchimg.runs import all_runs, find_run
from batchimg.settings import Settings
from batchimg.watch import follow
from batchimg_worker.storage import BlobStore


@contextmanager
def services_of(batchimg) -> Iterator[Services]:
    stack = batchimg.stack()["stack"]
    batch = Batch(stack["batch_endpoint"], stack["batch_account"], stack["batch_key"])
    found = Services(batch, BlobStore(stack["blob_endpoint"], stack["storage_key"]), Settings(), is_local=True)
    yield found
    found.batch.close()
    found.store.close()


def runs_of(services, name: str) -> list[str]:
    return [spec.run for spec in all_runs(services) if spec.run.startswith(f"{name}-")]


def rows_of(services, run: str) -> list[dict]:
    """Path, status and run of each image, the latest record of each."""
    found = batches(services, lineage(services, find_run(services, run)), ["path", "status", "run", "etag"])
    return [row for batch in found for row in batch.to_pylist()]


def placed(services, dataset: Path | str, *, observer=nobody, **settings):
    """Submit, with settings of its own."""
    chosen = Settings(**settings)
    order = Order.of(chosen, str(dataset), read_instructions(None, ["flip=horizontal"], ()))
    return order.place(replace(services, settings=chosen), observer)


def ended(services, spec):
    return deque(follow(services, spec, 0.2), maxlen=1)[0]


def told_of(events: list) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Told))
