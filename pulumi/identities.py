"""Two managed identities: the nodes' own, and the Batch account's."""

import pulumi
from place import Place
from pulumi_azure_native import managedidentity


class Identities(pulumi.ComponentResource):
    """``pool`` is what tasks sign in as, ``account`` what the Batch account reaches its storage with."""

    def __init__(self, place: Place) -> None:
        super().__init__("batchimg:cloud:Identities", place.name)
        self.pool, self.account = (
            managedidentity.UserAssignedIdentity(
                f"{place.name}-{whose}",
                resource_group_name=place.group.name,
                tags=place.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for whose in ("pool", "account")
        )
        self.register_outputs({})
