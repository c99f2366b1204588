"""Operations on the account itself: images, node counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from batch_emulator.account import Account
from batch_emulator.entities import Pool
from batch_emulator.filters import Property
from batch_emulator.paging import collect, list_reply, numbered
from batch_emulator.wire import Reply, Request

Fields = dict[str, Any]


_END_OF_22_04 = "2027-06-30T00:00:00Z"  # https://github.com/Azure/Batch/issues/200


def _image(publisher: str, offer: str, sku: str, agent: str, *, end: str | None = None) -> Fields:
    image = {
        "nodeAgentSKUId": agent,
        "imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"},
        "osType": "linux",
        "capabilities": [*(["DockerCompatible"] if publisher == "microsoft-dsvm" else []), "Generation2VMImage"],
        "verificationType": "verified",
    }
    return image | ({"batchSupportEndOfLife": end} if end else {})


IMAGES: list[Fields] = [
    _image("canonical", "ubuntu-24_04-lts", "server", "batch.node.ubuntu 24.04"),
    _image(
        "canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "batch.node.ubuntu 22.04",
        end=_END_OF_22_04,
    ),
    _image("debian", "debian-12", "12-gen2", "batch.node.debian 12"),
    _image("almalinux", "almalinux-x86_64", "9-gen2", "batch.node.el 9"),
    _image("microsoft-dsvm", "ubuntu-hpc", "2204", "batch.node.ubuntu 22.04", end=_END_OF_22_04),
    _image("microsoft-dsvm", "ubuntu-hpc", "2404", "batch.node.ubuntu 24.04"),
]  # fmt: skip

IMAGE_PROPERTIES: dict[str, Property[Fields]] = {
    "osType": lambda image: image["osType"],
    "verificationType": lambda image: image["verificationType"],
    "nodeAgentSKUId": lambda image: image["nodeAgentSKUId"],
}

COUNT_PROPERTIES: dict[str, Property[Pool]] = {"poolId": lambda pool: pool.id}

_STATES = {
    "creating": "creating",
    "deallocated": "deallocated",
    "deallocating": "deallocating",
    "idle": "idle",
    "leavingPool": "leavingpool",
    "offline": "offline",
    "preempted": "preempted",
    "rebooting": "rebooting",
    "reimaging": "reimaging",
    "running": "running",
    "starting": "starting",
    "startTaskFailed": "starttaskfailed",
    "unknown": "unknown",
    "unusable": "unusable",
    "waitingForStartTask": "waitingforstarttask",
    "upgradingOS": "upgradingos",
}


def list_supported_images(account: Account, request: Request) -> Reply:
    """Images that a pool may name; here they are only names."""
    page = collect(request, numbered(IMAGES, request), IMAGE_PROPERTIES, lambda image: image)
    return list_reply(account, request, "supportedimages", page)


def list_node_counts(account: Account, request: Request) -> Reply:
    """How many nodes of each pool are in which state."""
    pools = numbered(list(account.pools.values()), request)
    page = collect(request, pools, COUNT_PROPERTIES, _counts)
    return list_reply(account, request, "poolnodecounts", page)


def _counts(pool: Pool) -> Fields:
    fields: Fields = {"poolId": pool.id}
    for name, dedicated in (("dedicated", True), ("lowPriority", False)):
        states = Counter(node.state for node in pool.nodes.values() if node.dedicated == dedicated)
        fields[name] = {wire: states[state] for wire, state in _STATES.items()} | {"total": states.total()}
    return fields
