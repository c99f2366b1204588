"""A provider that answers to the name azure-native: Azure in a file, and what has a local twin made real.

It speaks the engine's own protocol and checks what Azure would refuse at once: names, missing parents, conflicts.
AZURE_TWIN_STATE names the file, an object of ARM id -> {type, inputs}; AZURE_TWINS the services.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2
from pulumi.provider.experimental import provider, server
from pulumi.provider.experimental.property_value import PropertyValue, PropertyValueType

import azure_refusals
from azure_resources import CLIENT_CONFIG, NAMES, SUFFIX, answer, template_of
from azure_twins import Twins

STATE = Path(os.environ.get("AZURE_TWIN_STATE", "azure.json"))
LOCATION = "westeurope"
# What only another resource can have.
FIXED = {
    "location", "resourceGroupName", "accountName", "poolName", "containerName", "queueName", "poolAllocationMode",
    "vmSize", "taskSlotsPerNode", "scope", "principalId", "roleDefinitionId",
}  # fmt: skip
ALWAYS_THERE = {"storage:BlobServiceProperties"}  # with the account: to make it is to set it


def plain(value: PropertyValue) -> Any:
    match value.type:
        case PropertyValueType.COMPUTED:
            return None
        case PropertyValueType.MAP:
            return {key: plain(inner) for key, inner in value.value.items()}
        case PropertyValueType.ARRAY:
            return [plain(inner) for inner in value.value]
    return value.value


def wrap(value: Any) -> PropertyValue:
    if isinstance(value, dict):
        return PropertyValue({key: wrap(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return PropertyValue([wrap(inner) for inner in value])
    return PropertyValue.null() if value is None else PropertyValue(value)


def plain_map(properties: Any) -> dict[str, Any]:
    return {key: plain(value) for key, value in (properties or {}).items()}


def wrap_map(properties: dict[str, Any]) -> dict[str, PropertyValue]:
    return {key: wrap(value) for key, value in properties.items()}


def kind_of(urn: str) -> str:
    """`batch:Pool` out of `urn:pulumi:dev::batchimg::parent$azure-native:batch:Pool::name`."""
    return urn.split("::")[2].rpartition("$")[2].removeprefix("azure-native:")


def name_of(urn: str) -> str:
    return urn.rpartition("::")[2]


class Azure:
    """The cloud: a file, and the twins."""

    def __init__(self) -> None:
        self.twins = Twins.from_environment()

    def read(self) -> dict[str, dict[str, Any]]:
        return json.loads(STATE.read_text()) if STATE.exists() else {}

    def write(self, resources: dict[str, dict[str, Any]]) -> None:
        part = STATE.with_suffix(".part")
        part.write_text(json.dumps(resources, indent=1, sort_keys=True))
        part.replace(STATE)

    def put(self, kind: str, arm_id: str, inputs: dict[str, Any]) -> None:
        """Raises RuntimeError for what is there already, as azure-native does: a killed `up` may have made it."""
        resources = self.read()
        if arm_id in resources and kind not in ALWAYS_THERE:
            raise RuntimeError(f"cannot create already existing resource '{arm_id}'")
        missing = _parent(arm_id)
        if missing and missing not in resources:
            raise RuntimeError(f"404 ParentResourceNotFound: {missing}")
        others = [one["inputs"] for one in resources.values() if one["type"] == kind]
        if refused := azure_refusals.of_making(kind, inputs, others):
            raise RuntimeError(refused)
        self.twins.create(kind, inputs)
        self.write({**resources, arm_id: {"type": kind, "inputs": inputs}})

    def change(self, kind: str, arm_id: str, inputs: dict[str, Any]) -> None:
        resources = self.read()
        if refused := azure_refusals.of_changing(kind, resources.get(arm_id, {}).get("inputs", {}), inputs):
            raise RuntimeError(refused)
        self.twins.update(kind, inputs)
        self.write({**resources, arm_id: {"type": kind, "inputs": inputs}})

    def remove(self, kind: str, arm_id: str) -> None:
        resources = self.read()
        gone = resources.pop(arm_id, None)
        if gone is None:
            return
        if kind == "resources:ResourceGroup":  # what is in it goes too, also what Pulumi does not know
            for below in [one for one in resources if one.startswith(f"{arm_id}/")]:
                inside = resources.pop(below)
                self.twins.delete(inside["type"], inside["inputs"])
        self.twins.delete(kind, gone["inputs"])
        self.write(resources)


def _parent(arm_id: str) -> str | None:
    """The ARM id of what a resource lies in; None for a resource group."""
    if "/providers/Microsoft.Authorization/" in arm_id or "/providers/Microsoft.Insights/" in arm_id:
        return None
    head, found, tail = arm_id.partition("/providers/")
    if not found:
        return None
    parts = tail.split("/")
    if len(parts) == 3 or parts[-2] in {"blobServices", "managementPolicies"}:
        return head if len(parts) == 3 else f"{head}/providers/{'/'.join(parts[:3])}"
    if parts[3] in {"blobServices", "queueServices"}:
        return f"{head}/providers/{'/'.join(parts[:3])}"
    return f"{head}/providers/{'/'.join(parts[:-2])}"


class Provider(provider.Provider):
    """What the engine calls."""

    def __init__(self) -> None:
        self.azure = Azure()
        self.busy = threading.Lock()

    async def invoke(self, request: provider.InvokeRequest) -> provider.InvokeResponse:
        if request.tok != "azure-native:authorization:getClientConfig":
            raise NotImplementedError(request.tok)
        return provider.InvokeResponse(return_value=wrap_map(CLIENT_CONFIG))

    async def check(self, request: provider.CheckRequest) -> provider.CheckResponse:
        kind = kind_of(request.urn)
        inputs = dict(request.new_inputs)
        naming = template_of(kind)[1]
        if naming not in inputs:  # a name once chosen stays
            suffix = hashlib.sha256(request.urn.encode()).hexdigest()[:SUFFIX]
            chosen = PropertyValue(f"{name_of(request.urn)}{suffix}")
            inputs[naming] = (request.old_inputs or {}).get(naming, chosen)
        name = plain(inputs[naming])
        failures = []
        if isinstance(name, str) and not re.fullmatch(NAMES.get(kind, ".+"), name):
            failures.append(provider.CheckFailure(naming, f"Azure takes no {kind} named {name!r}"))
        return provider.CheckResponse(inputs=inputs, failures=failures)

    async def diff(self, request: provider.DiffRequest) -> provider.DiffResponse:
        there = self.azure.read().get(request.resource_id, {})
        old, new = there.get("inputs", plain_map(request.old_state)), plain_map(request.new_inputs)
        changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        return provider.DiffResponse(
            changes=bool(changed), diffs=changed, replaces=[key for key in changed if key in FIXED]
        )

    async def create(self, request: provider.CreateRequest) -> provider.CreateResponse:
        kind, inputs = kind_of(request.urn), plain_map(request.properties)
        arm_id, outputs = self._answer(kind, name_of(request.urn), inputs)
        if request.preview:
            return provider.CreateResponse(resource_id="", properties=wrap_map(outputs))
        with self.busy:
            self.azure.put(kind, arm_id, inputs)
        return provider.CreateResponse(resource_id=arm_id, properties=wrap_map(outputs))

    async def read(self, request: provider.ReadRequest) -> provider.ReadResponse:
        """What is there now: a refresh sees what somebody has changed or taken away."""
        kind = kind_of(request.urn)
        there = self.azure.read().get(request.resource_id)
        if there is None:
            return provider.ReadResponse(resource_id="", properties={}, inputs={})
        outputs = self._answer(kind, name_of(request.urn), there["inputs"])[1]
        return provider.ReadResponse(
            resource_id=request.resource_id, properties=wrap_map(outputs), inputs=wrap_map(there["inputs"])
        )

    async def update(self, request: provider.UpdateRequest) -> provider.UpdateResponse:
        kind, inputs = kind_of(request.urn), plain_map(request.news)
        if not request.preview:
            with self.busy:
                self.azure.change(kind, request.resource_id, inputs)
        return provider.UpdateResponse(properties=wrap_map(self._answer(kind, name_of(request.urn), inputs)[1]))

    async def delete(self, request: provider.DeleteRequest) -> None:
        with self.busy:
            self.azure.remove(kind_of(request.urn), request.resource_id)

    def _answer(self, kind: str, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        arm_id, outputs = answer(kind, name, inputs, LOCATION)
        return arm_id, {**outputs, **self.azure.twins.outputs(kind)}


async def _attach(self: Any, request: Any, context: Any) -> Any:
    """The SDK's server lacks this call, and the engine makes it for a provider that is being debugged."""
    del self, request, context
    return empty_pb2.Empty()


def end_with(parent: int, busy: threading.Lock) -> None:
    """End when the engine has gone: killed, it ends nobody. What is being made is made first, as Azure does."""
    while os.getppid() == parent:
        time.sleep(0.5)
    with busy:
        os._exit(0)


if __name__ == "__main__":
    server.ProviderServicer.Attach = _attach
    azure_native = Provider()
    threading.Thread(target=end_with, args=(os.getppid(), azure_native.busy), daemon=True).start()
    server.main(sys.argv[1:], "3.29.0", azure_native)
