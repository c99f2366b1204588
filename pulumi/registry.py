"""The container registry, where `worker: container` takes its image from."""

import pulumi
from place import Place
from pulumi_azure_native import containerregistry

REPOSITORY = "batchimg-worker"


class Registry(pulumi.ComponentResource):
    """A registry without an admin user; ``image`` is the name that nodes pull."""

    def __init__(self, place: Place) -> None:
        super().__init__("batchimg:cloud:Registry", place.name)
        self.registry = containerregistry.Registry(
            place.name.replace("-", ""),
            resource_group_name=place.group.name,
            sku={"name": "Basic"},
            admin_user_enabled=False,
            tags=place.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.server = self.registry.login_server
        self.image = pulumi.Output.concat(self.server, f"/{REPOSITORY}:", place.settings.worker_version)
        self.register_outputs({})
