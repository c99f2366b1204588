"""The Batch account: Entra ID only, its storage reached by identity."""

from collections.abc import Sequence

import pulumi
from identities import Identities
from place import Place
from pulumi_azure_native import batch
from settings import Settings
from storage import Storage


class Account(pulumi.ComponentResource):
    """The account and its endpoint; it is made after the roles with which it reaches its storage."""

    def __init__(
        self, place: Place, storage: Storage, identities: Identities, roles: Sequence[pulumi.Resource]
    ) -> None:
        super().__init__("batchimg:cloud:Account", place.name)
        self.account = batch.BatchAccount(
            place.name.replace("-", "")[:16],
            resource_group_name=place.group.name,
            allowed_authentication_modes=[batch.AuthenticationMode.AAD],
            auto_storage={
                "storage_account_id": storage.account.id,
                "authentication_mode": batch.AutoStorageAuthenticationMode.BATCH_ACCOUNT_MANAGED_IDENTITY,
                "node_identity_reference": {"resource_id": identities.pool.id},
            },
            identity={"type": "UserAssigned", "user_assigned_identities": [identities.account.id]},
            pool_allocation_mode=batch.PoolAllocationMode.BATCH_SERVICE,
            public_network_access="Enabled" if place.settings.batch_public_access else "Disabled",
            network_profile=_profile(place.settings),
            tags=place.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=roles),
        )
        self.endpoint = pulumi.Output.concat("https://", self.account.account_endpoint)
        self.register_outputs({})


def _profile(settings: Settings) -> dict[str, object] | None:
    """Who reaches the account by its public address; None where it has none."""
    if not settings.batch_public_access:
        return None
    rules = [{"action": "Allow", "value": address} for address in settings.allowed_ips]
    nodes = "Deny" if settings.private else "Allow"  # nodes of a private network have an endpoint of their own
    return {
        "account_access": {"default_action": "Deny" if rules else "Allow", "ip_rules": rules},
        "node_management_access": {"default_action": nodes, "ip_rules": []},
    }
