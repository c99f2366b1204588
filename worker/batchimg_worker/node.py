"""What a task knows of the node that it runs on."""

import contextlib
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchimg_worker.errors import ContractError

STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Node:
    """The node and the task, from Azure's ``AZ_BATCH_*`` variables; ``task_dir`` is None outside of Batch."""

    id: str
    task_dir: Path | None
    storage_endpoint: str
    storage_key: str | None
    job: str | None = None


def this_node(environment: Mapping[str, str] = os.environ) -> Node:
    """Read the environment. Raises ContractError where the storage endpoint is missing."""
    endpoint = environment.get("BATCHIMG_STORAGE_ENDPOINT")
    if not endpoint:
        raise ContractError(
            "BATCHIMG_STORAGE_ENDPOINT is not set", "batchimg submit sets it for every task of its job."
        )
    task_dir = environment.get("AZ_BATCH_TASK_DIR")
    return Node(
        id=environment.get("AZ_BATCH_NODE_ID", "this machine"),
        task_dir=Path(task_dir) if task_dir else None,
        storage_endpoint=endpoint,
        storage_key=environment.get("BATCHIMG_STORAGE_KEY"),
        job=environment.get("AZ_BATCH_JOB_ID"),
    )


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far.

    `getrusage` would tell of the process that started this one too, where that was larger.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
