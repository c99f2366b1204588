"""The injectors, one small module a kind of fault: each plays the first part of a run while something breaks."""

from collections.abc import Callable

from chaos.faults import batch, clients, clocks, disks, nodes, services, storage, workers
from chaos.play import Play

ACTS: dict[str, Callable[[Play], None]] = {
    "node lost": nodes.act,
    "node preempted": nodes.act,
    "node unusable": nodes.act,
    "task delivered twice": nodes.act,
    "Batch busy": batch.act,
    "Batch applied, then 500": batch.act,
    "Batch connection cut": batch.act,
    "storage busy": storage.act,
    "storage applied, then 500": storage.act,
    "storage connection cut": storage.act,
    "Azurite restarted": services.act,
    "emulator killed": services.act,
    "worker killed": workers.act,
    "client killed in submit": clients.killed_in_submit,
    "client killed in retry": clients.killed_in_retry,
    "client killed in download": clients.killed_in_download,
    "disk of the node full": disks.node_full,
    "disk of the client full": disks.client_full,
    "clock wrong": clocks.act,
    "storage busy and node lost": storage.act,
}
