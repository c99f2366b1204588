"""An emulator that can be told to misbehave, in front of the real blob storage of the local stack."""

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread
from batchimg.batch import Batch

SPOT = "spot"
EMPTY = "empty"  # a pool without nodes


@dataclass
class Rehearsal:
    """An emulator with a door for faults, and the environment of a command that uses it."""

    url: str
    account: str
    key: str
    faults: str
    token: str
    environment: dict[str, str]

    def fault(self, method: str, path: str, body: dict | None = None) -> dict:
        connection = http.client.HTTPConnection(self.faults.removeprefix("http://"), timeout=10)
        connection.request(method, path, json.dumps(body) if body else None, {"authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status < 300, text
        return json.loads(text) if text else {}


@contextmanager
def rehearsing(stack: dict, **node: str) -> Iterator[Rehearsal]:
    """An emulator of its own; ``node`` is added to the environment of its tasks."""
    programs = str(Path(sys.executable).parent)
    storage = {"BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"], "BATCHIMG_STORAGE_KEY": stack["storage_key"]}
    tasks = {"PATH": f"{programs}:{os.environ['PATH']}", **storage, **node}
    with running_in_thread(Settings(node_environment=tasks, node_delay=0.01), Wishes(faults_port=0)) as server:
        credentials = server.emulator.credentials
        url = server.emulator.account.url
        batch = Batch(url, credentials.account, credentials.key)
        batch.create_local_pool("batchimg", 2, 1)
        batch.create_local_pool(EMPTY, 0, 1)
        batch.close()
        make_spot_pool(url, credentials.account, credentials.key)
        environment = {
            "BATCHIMG_BATCH_ENDPOINT": url,
            "BATCHIMG_BATCH_ACCOUNT": credentials.account,
            "BATCHIMG_BATCH_KEY": credentials.key,
            **storage,
        }
        yield Rehearsal(url, credentials.account, credentials.key, server.faults_url, server.faults_token, environment)


def make_spot_pool(url: str, account: str, key: str) -> None:
    from azure.batch import BatchClient, models
    from azure.core.credentials import AzureNamedKeyCredential

    image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
    machine = models.VirtualMachineConfiguration(image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04")
    pool = models.BatchPoolCreateOptions(
        id=SPOT, vm_size="standard_d2s_v5", virtual_machine_configuration=machine, target_low_priority_nodes=2
    )
    with BatchClient(url, AzureNamedKeyCredential(account, key)) as client:
        client.create_pool(pool)
