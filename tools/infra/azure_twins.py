"""The local twins of Azure's resources: containers and queues in Azurite, pools in the Batch emulator."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from batch_emulator.storage_rest import Identity

VERSION = "2021-12-02"
SECONDS = 30


@dataclass(frozen=True)
class Twins:
    """The services that stand in for Azure; from the JSON file that AZURE_TWINS names."""

    blob: str
    queue: str
    storage_key: str
    batch: str
    batch_account: str
    batch_key: str

    @staticmethod
    def from_environment() -> "Twins":
        return Twins(**json.loads(Path(os.environ["AZURE_TWINS"]).read_text()))

    def outputs(self, kind: str) -> dict[str, Any]:
        """What differs from Azure's answer: the addresses lead here."""
        if kind == "storage:StorageAccount":
            return {"primaryEndpoints": {"blob": f"{self.blob}/", "queue": f"{self.queue}/"}}
        if kind == "batch:BatchAccount":
            return {"accountEndpoint": self.batch.removeprefix("http://")}
        return {}

    def create(self, kind: str, inputs: Mapping[str, Any]) -> None:
        if kind == "storage:BlobContainer":
            self._storage("PUT", f"{self.blob}/{inputs['containerName']}?restype=container", HTTPStatus.CREATED)
        elif kind == "storage:Queue":
            self._storage("PUT", f"{self.queue}/{inputs['queueName']}", HTTPStatus.CREATED)
        elif kind == "batch:Pool":
            self._client().create_pool(self._model(data_plane_pool(inputs)))

    def update(self, kind: str, inputs: Mapping[str, Any]) -> None:
        """What Azure changes in place: of a pool its formula and its start task."""
        if kind != "batch:Pool":
            return
        from azure.batch import models

        pool = data_plane_pool(inputs)
        client = self._client()
        client.enable_pool_auto_scale(
            pool["id"],
            models.BatchPoolEnableAutoScaleOptions(auto_scale_formula=pool["autoScaleFormula"]),
        )
        change = {name: pool[name] for name in ("startTask", "metadata") if name in pool}
        client.update_pool(pool["id"], models.BatchPoolUpdateOptions(change))

    def delete(self, kind: str, inputs: Mapping[str, Any]) -> None:
        if kind == "storage:BlobContainer":
            url = f"{self.blob}/{inputs['containerName']}?restype=container"
            self._storage("DELETE", url, HTTPStatus.ACCEPTED)
        elif kind == "storage:Queue":
            self._storage("DELETE", f"{self.queue}/{inputs['queueName']}", HTTPStatus.NO_CONTENT)
        elif kind == "batch:Pool":
            self._client().begin_delete_pool(inputs["poolName"]).wait()

    def left(self) -> list[str]:
        """What is still there, in words."""
        blobs = self._storage("GET", f"{self.blob}/?comp=list", HTTPStatus.OK)
        queues = self._storage("GET", f"{self.queue}/?comp=list", HTTPStatus.OK)
        found = [f"container {name}" for name in _names(blobs)] + [f"queue {name}" for name in _names(queues)]
        return found + [f"pool {pool.id}" for pool in self._client().list_pools()]

    def _storage(self, method: str, url: str, expected: HTTPStatus) -> str:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, "content-length": "0"}
        identity = Identity(self.blob if url.startswith(self.blob) else self.queue, self.storage_key)
        headers["authorization"] = identity.authorization(method, url, headers)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, url, headers=headers, timeout=SECONDS)
        if answer.status_code != expected:
            raise RuntimeError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer.text

    def _client(self) -> Any:
        from azure.batch import BatchClient
        from azure.core.credentials import AzureNamedKeyCredential

        return BatchClient(self.batch, AzureNamedKeyCredential(self.batch_account, self.batch_key))

    @staticmethod
    def _model(pool: dict[str, Any]) -> Any:
        from azure.batch import models

        return models.BatchPoolCreateOptions(pool)


def _names(listing: str) -> list[str]:
    return [part.partition("</Name>")[0] for part in listing.split("<Name>")[1:]]


def data_plane_pool(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A pool as the data plane takes it. Identities and networks have no twin here: they are left out."""
    scale = inputs["scaleSettings"]["autoScale"]
    machine = dict(inputs["deploymentConfiguration"]["virtualMachineConfiguration"])
    machine.pop("containerConfiguration", None)
    machine["nodeAgentSKUId"] = machine.pop("nodeAgentSkuId")
    pool = {
        "id": inputs["poolName"],
        "vmSize": inputs["vmSize"],
        "virtualMachineConfiguration": machine,
        "taskSlotsPerNode": inputs["taskSlotsPerNode"],
        "taskSchedulingPolicy": inputs["taskSchedulingPolicy"],
        "enableAutoScale": True,
        "autoScaleFormula": scale["formula"],
        "autoScaleEvaluationInterval": scale["evaluationInterval"],
        "startTask": inputs.get("startTask"),
        "metadata": inputs.get("metadata"),
    }
    return {name: value for name, value in whole(pool).items() if value is not None}


def whole(value: Any) -> Any:
    """Numbers come as floats: whole ones are integers on the wire."""
    if isinstance(value, Mapping):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
