"""An emulator with faults in front of the stack's blob storage, and pools and jobs as pains need them."""

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential

from batch_emulator.account import Settings
from batch_emulator.server import Server, Wishes, running_in_thread
from batchimg_worker.blob_names import run_path
from batchimg_worker.contract import Limits, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.recipe import recipe_from_ops
from batchimg_worker.storage import BlobStore

SLEEP = "/bin/sh -c 'sleep 60'"


@dataclass
class Stage:
    """What a test needs to make a pain and to ask why."""

    server: Server
    client: BatchClient
    store: BlobStore
    environment: dict[str, str] = field(repr=False)

    def fault(self, **fault: object) -> dict:
        return self._faults("POST", "/faults", fault)

    def fired(self, fault: dict) -> int:
        return self._faults("GET", f"/faults/{fault['id']}")["fired"]

    def calm(self) -> None:
        self._faults("DELETE", "/faults")

    def _faults(self, method: str, path: str, body: dict | None = None) -> dict:
        connection = http.client.HTTPConnection(self.server.faults_url.removeprefix("http://"), timeout=10)
        token = {"authorization": f"Bearer {self.server.faults_token}"}
        connection.request(method, path, json.dumps(body) if body else None, token)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status < 300, text
        return json.loads(text) if text else {}

    def pool(self, pool: str, nodes: int = 1, **more: object) -> str:
        """A pool of small machines."""
        image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
        machine = models.VirtualMachineConfiguration(
            image_reference=image,
            node_agent_sku_id="batch.node.ubuntu 24.04",
            container_configuration=more.pop("containers", None),
        )
        sizes = {} if more.get("enable_auto_scale") else {"target_dedicated_nodes": nodes}
        self.client.create_pool(
            models.BatchPoolCreateOptions(
                id=pool, vm_size="standard_d2s_v5", virtual_machine_configuration=machine, **(sizes | more)
            )
        )
        return pool

    def run(self, run: str, chunks: int = 1, **changes: object) -> str:
        """A run that is written down and has no job."""
        spec = RunSpec(
            run=run,
            plan_hash="0" * 64,
            dataset="x",
            created=datetime.now(UTC),
            client_version="0",
            source=Source(container="inputs", prefix="x/"),
            recipe=recipe_from_ops(["flip=horizontal"], None),
            limits=Limits(),
            images=chunks,
            bytes=chunks,
            chunks=chunks,
            rejected=0,
        ).model_copy(update=changes)
        self.store.container("runs").write(run_path(run), dump(spec))
        return run

    def job(self, run: str, pool: str, *tasks: models.BatchTaskCreateOptions, **more: object) -> str:
        """A job for a run, with tasks; complete unless ``all_tasks_complete_mode`` says otherwise."""
        mode = more.pop("all_tasks_complete_mode", "terminatejob")
        self.client.create_job(
            models.BatchJobCreateOptions(id=run, pool_info=models.BatchPoolInfo(pool_id=pool), **more)
        )
        for task in tasks:
            self.client.create_task(run, task)
        self.client.update_job(run, models.BatchJobUpdateOptions(all_tasks_complete_mode=mode))
        return run


def task(number: int, command: str = SLEEP, **more: object) -> models.BatchTaskCreateOptions:
    return models.BatchTaskCreateOptions(id=str(number), command_line=command, **more)


@contextmanager
def stage(batchimg, settings: Settings) -> Iterator[Stage]:
    """An emulator of its own with the stack's blob storage; ``settings`` get what a node needs."""
    stack = batchimg.stack()["stack"]
    node = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"],
        "BATCHIMG_STORAGE_KEY": stack["storage_key"],
    }
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    with running_in_thread(replace(settings, node_environment=node), Wishes(faults_port=0)) as server:
        credentials, url = server.emulator.credentials, server.emulator.account.url
        environment = {
            "BATCHIMG_BATCH_ENDPOINT": url,
            "BATCHIMG_BATCH_ACCOUNT": credentials.account,
            "BATCHIMG_BATCH_KEY": credentials.key,
            "BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"],
            "BATCHIMG_STORAGE_KEY": stack["storage_key"],
        }
        with BatchClient(url, AzureNamedKeyCredential(credentials.account, credentials.key)) as client:
            yield Stage(server, client, store, environment)
    store.close()
