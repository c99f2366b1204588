"""What concerns the machine behind a node: remote login, extensions, logs of the service."""

from __future__ import annotations

import uuid
from typing import Any

from batch_emulator.account import Account
from batch_emulator.durations import timestamp_ticks
from batch_emulator.entities import Node
from batch_emulator.errors import BatchError, property_error
from batch_emulator.operations.pool_rules import without_secrets
from batch_emulator.paging import collect, list_reply, numbered, select_fields, selection
from batch_emulator.resource_files import check_url
from batch_emulator.wire import Reply, Request, element, json_reply

Fields = dict[str, Any]


def _node(account: Account, request: Request) -> Node:
    return account.node(request.path["poolId"], request.path["nodeId"])


def remote_login_settings(account: Account, request: Request) -> Reply:
    """Always an error: there is no machine to log in to."""
    node = _node(account, request)
    folder = account.folders.node(node.id)
    raise BatchError(
        "OperationNotValidOnNode",
        ("Reason", f"A node of the emulator is a directory, not a machine: look into {folder}."),
    )


def upload_logs(account: Account, request: Request) -> Reply:
    """Where logs of the service would go; there are none, so the number of files is 0."""
    spec = request.spec("UploadBatchServiceLogsOptions")
    node = _node(account, request)
    check_url(spec["containerUrl"], "containerUrl")
    if "endTime" in spec and timestamp_ticks(spec["endTime"]) < timestamp_ticks(spec["startTime"]):
        raise property_error("endTime", spec["endTime"], "Expected a time after startTime.")
    folder = f"{node.pool.id}/{node.id}/{uuid.uuid4()}"
    name = "Microsoft.Azure.Batch.Protocol.Entities.UploadBatchServiceLogsResult"
    metadata = {"odata.metadata": f"{account.url}/$metadata#{name}"}
    return json_reply(metadata | {"virtualDirectoryName": folder, "numberOfFilesUploaded": 0})


def _extensions(node: Node) -> list[Fields]:
    """The extensions that the pool asks for; they are recorded, and said to be there, but not run."""
    wanted = (node.pool.spec.get("virtualMachineConfiguration") or {}).get("extensions", ())
    return [_extension(entry) for entry in wanted]


def _extension(entry: Fields) -> Fields:
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": "Recorded by the emulator; extensions are not run.",
    }
    return {
        "provisioningState": "Succeeded",
        "vmExtension": without_secrets(entry),
        "instanceView": {"name": entry["name"], "statuses": [status]},
    }


def list_extensions(account: Account, request: Request) -> Reply:
    """The extensions of a node."""
    wanted = selection(request, "BatchNodeVMExtension")
    extensions = numbered(_extensions(_node(account, request)), request)
    page = collect(request, extensions, {}, lambda entry: select_fields(entry, wanted))
    return list_reply(account, request, "extensions", page)


def get_extension(account: Account, request: Request) -> Reply:
    """One extension of a node, or ResourceNotFound."""
    wanted = selection(request, "BatchNodeVMExtension")
    name = request.path["extensionName"]
    for entry in _extensions(_node(account, request)):
        if entry["vmExtension"]["name"].lower() == name.lower():
            return element(account.url, "extensions", select_fields(entry, wanted))
    raise BatchError("ResourceNotFound", ("ExtensionName", name))
