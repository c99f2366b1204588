"""Events: a message in the queue for every chunk that is done, delivered by identity."""

import pulumi
from place import Place
from pulumi_azure_native import eventgrid
from roles import Grants
from storage import QUEUE, Storage

DAY_SECONDS = 86400


class Events(pulumi.ComponentResource):
    """Storage tells Event Grid of each result, and Event Grid the queue."""

    def __init__(self, place: Place, storage: Storage) -> None:
        super().__init__("batchimg:cloud:Events", place.name)
        topic = eventgrid.SystemTopic(
            f"{place.name}-storage-events",
            resource_group_name=place.group.name,
            source=storage.account.id,
            topic_type="Microsoft.Storage.StorageAccounts",
            identity={"type": "SystemAssigned"},
            tags=place.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        principal = topic.identity.apply(lambda identity: identity.principal_id if identity else "")
        grants = Grants(f"{place.name}-topic", principal, "ServicePrincipal", self)
        may_send = grants.give("Storage Queue Data Message Sender", "queue", storage.queue.id)
        eventgrid.SystemTopicEventSubscription(
            f"{place.name}-chunk-done",
            event_subscription_name="chunk-done",
            system_topic_name=topic.name,
            resource_group_name=place.group.name,
            event_delivery_schema="CloudEventSchemaV1_0",
            delivery_with_resource_identity={
                "identity": {"type": "SystemAssigned"},
                "destination": {
                    "endpoint_type": "StorageQueue",
                    "resource_id": storage.account.id,
                    "queue_name": QUEUE,
                    "queue_message_time_to_live_in_seconds": DAY_SECONDS,
                },
            },
            filter={
                "included_event_types": ["Microsoft.Storage.BlobCreated"],
                "subject_begins_with": "/blobServices/default/containers/runs/blobs/",
                # A plain dictionary would go out as it stands: the SDK does not know which filter it is.
                "advanced_filters": [
                    eventgrid.StringContainsAdvancedFilterArgs(
                        operator_type="StringContains", key="subject", values=["/results/"]
                    )
                ],
            },
            opts=pulumi.ResourceOptions(parent=topic, depends_on=[may_send, storage.queue]),
        )
        self.register_outputs({})
