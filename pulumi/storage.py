"""The storage account: keyless, versioned, three containers and a queue."""

from collections.abc import Sequence

import pulumi
from place import Place
from pulumi_azure_native import storage
from settings import Settings

CONTAINERS = ("inputs", "outputs", "runs")
WORKER = "worker"
"""The container that holds the bundles that nodes install, where they do not run an image."""
QUEUE = "events"


class Storage(pulumi.ComponentResource):
    """The account, its containers by name, and the queue."""

    def __init__(self, place: Place) -> None:
        name, settings, group, tags = place.name, place.settings, place.group, place.tags
        super().__init__("batchimg:cloud:Storage", name)
        self._group = group
        self._below = pulumi.ResourceOptions(parent=self)
        self.account = self._account(name, settings, tags)
        below_account = pulumi.ResourceOptions(parent=self.account)
        storage.BlobServiceProperties(
            f"{name}-blobs",
            account_name=self.account.name,
            blob_services_name="default",
            resource_group_name=group.name,
            is_versioning_enabled=True,
            delete_retention_policy={"enabled": True, "days": settings.soft_delete_days},
            container_delete_retention_policy={"enabled": True, "days": settings.soft_delete_days},
            opts=below_account,
        )
        self.containers = {
            container: storage.BlobContainer(
                f"{name}-{container}",
                account_name=self.account.name,
                container_name=container,
                public_access=storage.PublicAccess.NONE,
                resource_group_name=group.name,
                opts=below_account,
            )
            for container in (*CONTAINERS, *([] if settings.in_container else [WORKER]))
        }
        self.queue = storage.Queue(
            f"{name}-{QUEUE}",
            account_name=self.account.name,
            queue_name=QUEUE,
            resource_group_name=group.name,
            opts=below_account,
        )
        storage.ManagementPolicy(
            f"{name}-lifecycle",
            account_name=self.account.name,
            management_policy_name="default",
            resource_group_name=group.name,
            policy={"rules": lifecycle(settings)},
            opts=below_account,
        )
        self.endpoint = self.account.primary_endpoints.apply(lambda endpoints: endpoints.blob.rstrip("/"))
        self.register_outputs({})

    def _account(self, name: str, settings: Settings, tags: dict[str, str]) -> storage.StorageAccount:
        reachable = not settings.private or bool(settings.allowed_ips)
        return storage.StorageAccount(
            name.replace("-", "")[:16],  # Azure takes 24 letters and digits, and eight are added
            resource_group_name=self._group.name,
            kind=storage.Kind.STORAGE_V2,
            sku={"name": settings.redundancy},
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            allow_shared_key_access=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            public_network_access="Enabled" if reachable else "Disabled",
            network_rule_set=_rules(settings),
            tags=tags,
            opts=pulumi.ResourceOptions.merge(
                self._below, pulumi.ResourceOptions(protect=settings.protect_storage or None)
            ),
        )


def _rules(settings: Settings) -> dict[str, object]:
    """Who reaches the account by its public address; identities and roles decide on top of that."""
    rules = [{"i_p_address_or_range": address, "action": "Allow"} for address in settings.allowed_ips]
    return {"default_action": "Deny" if settings.private else "Allow", "bypass": "AzureServices", "ip_rules": rules}


def lifecycle(settings: Settings) -> Sequence[dict[str, object]]:
    """Rules of what is deleted by itself: runs, old versions of everything, pictures if so wished; never inputs."""
    rules = [_rule("runs-expire", ["runs/"], {"base_blob": _after_change(settings.runs_days)})]
    if settings.outputs_days:
        rules.append(_rule("outputs-expire", ["outputs/"], {"base_blob": _after_change(settings.outputs_days)}))
    old = {"delete": {"days_after_creation_greater_than": settings.soft_delete_days}}
    rules.append(_rule("old-versions-expire", None, {"version": old, "snapshot": old}))
    return rules


def _after_change(days: int) -> dict[str, object]:
    return {"delete": {"days_after_modification_greater_than": days}}


def _rule(name: str, prefixes: list[str] | None, actions: dict[str, object]) -> dict[str, object]:
    filters: dict[str, object] = {"blob_types": ["blockBlob"]}
    if prefixes:
        filters["prefix_match"] = prefixes
    return {"name": name, "type": "Lifecycle", "enabled": True, "definition": {"actions": actions, "filters": filters}}
