"""What the nodes of an account may use of storage by themselves."""

from __future__ import annotations

from batch_emulator.account import Account
from batch_emulator.resource_files import Sources
from batch_emulator.storage_rest import Identity

IDENTITY_ENDPOINT = "BATCHIMG_STORAGE_ENDPOINT"
IDENTITY_KEY = "BATCHIMG_STORAGE_KEY"
"""Variables of the node environment that stand for the node's identity where there is no real one."""


def of_node(account: Account) -> Sources:
    """The account's own storage, and the identity that its nodes have."""
    environment = account.settings.node_environment
    endpoint, key = environment.get(IDENTITY_ENDPOINT), environment.get(IDENTITY_KEY)
    identity = Identity(endpoint, key) if endpoint and key else None
    return Sources(account.settings.auto_storage, identity)
