"""What lies in the blob storage of a run."""

import json

from batchimg_worker.blob_names import heartbeat_path
from batchimg_worker.contract import HEARTBEAT_METADATA
from batchimg_worker.storage import Container


def beaten(runs: Container, run: str, chunk: int) -> dict:
    """The last heartbeat of a chunk, nothing before the first."""
    blob = runs.stat(heartbeat_path(run, chunk))
    return json.loads(blob.metadata[HEARTBEAT_METADATA]) if blob else {}
