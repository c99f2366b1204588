"""An Azure Batch account that `batchimg submit` can use at once: read it from top to bottom."""

import access
import pulumi
from account import Account
from budget import Budget
from events import Events
from identities import Identities
from network import Network, Target
from observability import Observability
from place import Place
from pool import POOL, Parts, Pool
from pulumi_azure_native import resources
from registry import Registry
from settings import PROJECT, load
from storage import Storage

import worker

# Nothing is made before every setting has been read and found good.
settings = load()
name = f"{settings.name}-{pulumi.get_stack()}"
tags = {"project": PROJECT, "stack": pulumi.get_stack(), "managed-by": "pulumi"}

group = resources.ResourceGroup(name, tags=tags)
place = Place(name, settings, group, tags)

# Who runs things, and where the data lie.
identities = Identities(place)
storage = Storage(place)
registry = Registry(place) if settings.in_container else None

# Who may use what lies there; the account and the pool are made after their roles.
account = Account(place, storage, identities, access.of_account(place, identities, storage))
needed = access.of_pool(place, identities, storage, registry)

# A network of their own for the nodes, if so wished.
network = Network(place) if settings.private else None
if network:
    targets = [
        Target("blob", storage.account.id, "blob", "privatelink.blob.core.windows.net"),
        Target("queue", storage.account.id, "queue", "privatelink.queue.core.windows.net"),
        Target("node-management", account.account.id, "nodeManagement", "privatelink.batch.azure.com"),
    ]
    if not settings.batch_public_access:
        targets.append(Target("batch", account.account.id, "batchAccount", "privatelink.batch.azure.com"))
    needed += [network.private_endpoint(target) for target in targets]

Pool(place, Parts(account, storage, identities, registry, network, needed))
access.Submitters(place, account, storage, registry)

if settings.observability:
    Observability(place, account, storage)
if settings.budget:
    Budget(place)
if settings.events:
    Events(place, storage)

# What `batchimg configure` writes into batchimg.toml.
pulumi.export("batch_endpoint", account.endpoint)
pulumi.export("storage_endpoint", storage.endpoint)
pulumi.export("batch_account_id", account.account.id)
pulumi.export("pool", POOL)
pulumi.export("node_identity", identities.pool.client_id)
pulumi.export("worker_command", worker.CONTAINER_COMMAND if registry else worker.WHEEL_COMMAND)
pulumi.export("worker_image", registry.image if registry else "")
# What people and tools want to know besides.
pulumi.export("worker_bundle", "" if registry else worker.bundle(settings, storage))
pulumi.export("worker_version", settings.worker_version)
pulumi.export("resource_group", group.name)
