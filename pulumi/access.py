"""Who may do what: the account, the nodes, and those who submit."""

import pulumi
from account import Account
from identities import Identities
from place import Place
from pulumi_azure_native import authorization
from registry import Registry
from roles import Grants
from storage import WORKER, Storage

SERVICE_PRINCIPAL = "ServicePrincipal"
READ, WRITE = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def of_account(place: Place, identities: Identities, storage: Storage) -> list[pulumi.Resource]:
    """The Batch account uses its auto storage; Azure asks for the role on the whole storage account."""
    grants = Grants(f"{place.name}-account", identities.account.principal_id, SERVICE_PRINCIPAL, identities)
    return [grants.give(WRITE, "storage", storage.account.id)]


def of_pool(place: Place, identities: Identities, storage: Storage, registry: Registry | None) -> list[pulumi.Resource]:
    """Nodes read originals and the worker, write pictures and results, and nothing else."""
    grants = Grants(f"{place.name}-pool", identities.pool.principal_id, SERVICE_PRINCIPAL, identities)
    given: list[pulumi.Resource] = [
        grants.give(role, container, storage.containers[container].id)
        for container, role in (("inputs", READ), ("outputs", WRITE), ("runs", WRITE))
    ]
    if registry:
        return [*given, grants.give("AcrPull", "registry", registry.registry.id)]
    return [*given, grants.give(READ, WORKER, storage.containers[WORKER].id)]


class Submitters(pulumi.ComponentResource):
    """Each submitter may run jobs, read the account, and use the containers."""

    def __init__(self, place: Place, account: Account, storage: Storage, registry: Registry | None) -> None:
        super().__init__("batchimg:cloud:Submitters", place.name)
        # Named by whom they are for: when one of a numbered list goes, the others would be given what they have.
        for principal in place.settings.submitters or (authorization.get_client_config().object_id,):
            grants = Grants(
                f"{place.name}-submitter-{principal}", principal, place.settings.submitter_type or None, self
            )
            grants.give("Azure Batch Job Submitter", "account", account.account.id)
            grants.give("Azure Batch Account Reader", "account", account.account.id)
            for word, container in storage.containers.items():
                grants.give(WRITE, word, container.id)
            if registry:
                grants.give("AcrPush", "registry", registry.registry.id)
            if place.settings.events:
                grants.give("Storage Queue Data Message Processor", "queue", storage.queue.id)
        self.register_outputs({})
