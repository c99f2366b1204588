"""Start the local stack as the settings want it, ready for a run: its containers and its pool are there."""

import os

from batchimg.batch import Batch
from batchimg.containers import create_containers
from batchimg.events import Observer, Progressed, Told, nobody
from batchimg.local.events import (
    InstallFinished,
    InstallProgress,
    InstallStarted,
    LocalEvent,
    StackReady,
    StackStarting,
    WaitingForOther,
)
from batchimg.local.ports import Ports
from batchimg.local.running import Stack
from batchimg.local.stack import StackOptions, up
from batchimg.settings import Settings
from batchimg_worker.storage import BlobStore


def start(settings: Settings, observer: Observer = nobody) -> Stack:
    """The running local stack, started and prepared if need be; a few milliseconds where it runs."""
    ports = Ports(
        blob=settings.local_blob_port or 0,
        queue=settings.local_queue_port or 0,
        batch=settings.local_batch_port or 0,
    )
    stack = up(
        StackOptions(ports=ports, idle_minutes=settings.local_idle_minutes),
        lambda event: _tell(event, observer),
    )
    # Both live in the data folder, and go with it: once made, they need not be looked for again.
    made = stack.data_folder / f"pool-{settings.pool}"
    if not made.exists():
        _prepare(stack, settings)
        made.touch(mode=0o600)
    return stack


def _prepare(stack: Stack, settings: Settings) -> None:
    """Make the containers and the pool, which Pulumi makes on Azure."""
    store = BlobStore(stack.blob_endpoint, stack.storage_key)
    create_containers(store)
    store.close()
    batch = Batch(stack.batch_endpoint, stack.batch_account, stack.batch_key)
    if not batch.pool_exists(settings.pool):
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        nodes = settings.local_nodes or min(2, cpus)
        batch.create_local_pool(settings.pool, nodes, settings.local_slots or max(1, cpus // nodes))
    batch.close()


def _tell(event: LocalEvent, observer: Observer) -> None:
    match event:
        case InstallStarted(version=version, folder=folder):
            observer(Told(f"Fetching Azurite {version} into {folder} (once) ..."))
        case InstallProgress(fetched=fetched, expected=expected):
            observer(Progressed("Azurite", fetched, expected, unit="downloads"))
        case InstallFinished(seconds=seconds):
            observer(Told(f"Azurite is installed ({seconds:.0f} s)."))
        case StackStarting():
            observer(Told("Starting the local stack ..."))
        case StackReady(seconds=seconds):
            observer(Told(f"The local stack is up ({seconds:.1f} s)."))
        case WaitingForOther(work=work):
            observer(Told(f"Waiting for another batchimg that is {work} ..."))
