"""The pool: from zero nodes and back, and nothing comes in."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from account import Account
from identities import Identities
from network import Network
from place import Place
from pulumi_azure_native import batch
from registry import Registry
from settings import Settings
from storage import Storage

import worker

from autoscale import EVALUATION_INTERVAL, formula

POOL = "batchimg"
# What Azure Batch does not change on a pool that is there: another value makes another pool.
_FIXED = ["vmSize", "taskSlotsPerNode", "deploymentConfiguration", "networkConfiguration", "identity"]


@dataclass(frozen=True)
class Parts:
    """What the pool is put together from; ``needed`` is what must be there before its first node."""

    account: Account
    storage: Storage
    identities: Identities
    registry: Registry | None
    network: Network | None
    needed: Sequence[pulumi.Resource]


class Pool(pulumi.ComponentResource):
    """The pool that runs the tasks."""

    def __init__(self, place: Place, parts: Parts) -> None:
        super().__init__("batchimg:cloud:Pool", place.name)
        settings = place.settings
        identity = parts.identities.pool.id
        self.pool = batch.Pool(
            f"{place.name}-pool",
            pool_name=POOL,
            account_name=parts.account.account.name,
            resource_group_name=place.group.name,
            vm_size=settings.vm_size,
            task_slots_per_node=settings.slots,
            task_scheduling_policy={"node_fill_type": "Pack"},  # so that nodes are empty sooner, and go
            inter_node_communication="Disabled",
            identity={"type": "UserAssigned", "user_assigned_identities": [identity]},
            scale_settings={
                "auto_scale": {
                    "formula": formula(settings.slots, settings.max_spot_nodes, settings.max_dedicated_nodes),
                    "evaluation_interval": EVALUATION_INTERVAL,
                }
            },
            deployment_configuration={"virtual_machine_configuration": _machine(settings, parts, identity)},
            network_configuration=_network(parts.network),
            start_task=None if settings.in_container else worker.start_task(settings, parts.storage, identity),
            metadata=[{"name": "worker_version", "value": settings.worker_version}],
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=parts.needed, delete_before_replace=True, replace_on_changes=_FIXED
            ),
        )
        self.register_outputs({})


def _machine(settings: Settings, parts: Parts, identity: pulumi.Input[str]) -> dict[str, object]:
    machine: dict[str, object] = {
        "image_reference": worker.image(settings),
        "node_agent_sku_id": "batch.node.ubuntu 24.04",
        "security_profile": {
            "security_type": "trustedLaunch",
            "uefi_settings": {"secure_boot_enabled": True, "v_tpm_enabled": True},
        },
        "os_disk": {"managed_disk": {"storage_account_type": "StandardSSD_LRS"}},
    }
    if parts.registry:
        machine["container_configuration"] = worker.container(parts.registry, identity)
    return machine


def _network(network: Network | None) -> dict[str, object]:
    """No endpoint configuration: nothing, SSH neither, leads to a node from outside."""
    if network is None:
        return {"public_ip_address_configuration": {"provision": "BatchManaged"}}
    return {
        "subnet_id": network.nodes.id,
        "public_ip_address_configuration": {"provision": "NoPublicIPAddresses"},
    }
