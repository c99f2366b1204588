"""The containers of the local stack; on Azure Pulumi makes them."""

from batchimg_worker.blob_names import INPUTS, OUTPUTS, RUNS
from batchimg_worker.storage import BlobStore


def create_containers(store: BlobStore) -> None:
    """Make the three containers where they are missing."""
    for name in (INPUTS, OUTPUTS, RUNS):
        store.create_container(name)
