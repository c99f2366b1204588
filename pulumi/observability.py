"""Logs and metrics: a workspace, what Batch and storage send there, and Application Insights if so wished."""

import pulumi
from account import Account
from place import Place
from pulumi_azure_native import applicationinsights, monitor, operationalinsights
from storage import Storage

RETENTION_DAYS = 30  # the first 31 days are in the price
DAILY_GIGABYTES = 1


class Observability(pulumi.ComponentResource):
    """A Log Analytics workspace with a cap a day."""

    def __init__(self, place: Place, account: Account, storage: Storage) -> None:
        super().__init__("batchimg:cloud:Observability", place.name)
        below = pulumi.ResourceOptions(parent=self)
        self.workspace = operationalinsights.Workspace(
            f"{place.name}-logs",
            resource_group_name=place.group.name,
            sku={"name": "PerGB2018"},
            retention_in_days=RETENTION_DAYS,
            workspace_capping={"daily_quota_gb": DAILY_GIGABYTES},
            tags=place.tags,
            opts=below,
        )
        self._send(f"{place.name}-batch-logs", account.account.id, {"category_group": "allLogs"}, "AllMetrics")
        # Reads and writes are one line an image: of storage only deletions are kept.
        blobs = pulumi.Output.concat(storage.account.id, "/blobServices/default")
        self._send(f"{place.name}-blob-logs", blobs, {"category": "StorageDelete"}, "Transaction")
        if place.settings.application_insights:
            applicationinsights.Component(
                f"{place.name}-insights",
                resource_group_name=place.group.name,
                application_type="other",
                kind="other",
                ingestion_mode="LogAnalytics",
                disable_local_auth=True,
                workspace_resource_id=self.workspace.id,
                tags=place.tags,
                opts=below,
            )
        self.register_outputs({})

    def _send(self, name: str, resource: pulumi.Input[str], logs: dict[str, object], metrics: str) -> None:
        """Storage refuses the word AllMetrics, and Batch any other."""
        monitor.DiagnosticSetting(
            name,
            name=name,
            resource_uri=resource,
            workspace_id=self.workspace.id,
            logs=[{**logs, "enabled": True}],
            metrics=[{"category": metrics, "enabled": True}],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
