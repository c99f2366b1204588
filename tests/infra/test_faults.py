"""A fault in the program is found: each is put into a copy of it, and one of the checks must speak."""

# ruff: noqa: E501 - a table is read by its lines

import pytest

from findings import all_findings
from programs import with_fault
from recording import run

FAULTS = {
    "shared key on": ("storage.py", "allow_shared_key_access=False", "allow_shared_key_access=True", "allowSharedKeyAccess"),
    "blobs may be public": ("storage.py", "allow_blob_public_access=False", "allow_blob_public_access=True", "allowBlobPublicAccess"),
    "a public container": ("storage.py", "PublicAccess.NONE", "PublicAccess.CONTAINER", "publicAccess"),
    "old TLS": ("storage.py", "MinimumTlsVersion.TLS1_2", "MinimumTlsVersion.TLS1_0", "minimumTlsVersion"),
    "no versions": ("storage.py", "is_versioning_enabled=True", "is_versioning_enabled=False", "isVersioningEnabled"),
    "originals expire": ("storage.py", '["runs/"]', '["runs/", "inputs/"]', "originals expire"),
    "runs stay for ever": ("storage.py", '_rule("runs-expire", ["runs/"]', '_rule("runs-expire", ["rums/"]', "runs do not expire"),
    "keys to the account": ("account.py", "AuthenticationMode.AAD]", "AuthenticationMode.AAD, batch.AuthenticationMode.SHARED_KEY]", "allowedAuthenticationModes"),
    "auto storage by key": ("account.py", "BATCH_ACCOUNT_MANAGED_IDENTITY", "STORAGE_KEYS", "auto storage"),
    "an account without its role": ("account.py", ", depends_on=roles", "", "the account does not wait"),
    "a pool without its role": ("access.py", '("runs", WRITE))', '("runs", READ))', "the roles of the nodes"),
    "a pool that may read all": ("access.py", "grants.give(READ, WORKER, storage.containers[WORKER].id)", 'grants.give(READ, "all", storage.account.id)', "the roles of the nodes"),
    "a missing dependency": ("pool.py", "depends_on=parts.needed, ", "", "the pool does not wait"),
    "an old family": ("Pulumi.yaml", "default: Standard_D4ads_v5", "default: Standard_D4s_v3", "vm_size"),
    "slots are not vCPUs": ("pool.py", "task_slots_per_node=settings.slots", "task_slots_per_node=2 * settings.slots", "slots on"),
    "no Trusted Launch": ("pool.py", '"security_type": "trustedLaunch"', '"security_type": "confidentialVM"', "Trusted Launch"),
    "the account's identity on nodes": ("pool.py", "identity = parts.identities.pool.id", "identity = parts.identities.account.id", "the nodes' identities"),
    "addresses of nodes that Azure does not know": ("pool.py", '"BatchManaged"', '"BatchManagedly"', "BatchManagedly"),
    "no tags": ("storage.py", "            tags=tags,\n", "", "has no tags"),
    "nodes that leave in the midst of a task": ("autoscale.py", "$NodeDeallocationOption = taskcompletion;\n", "", "nodes that leave"),
    "nobody may submit": ("access.py", 'grants.give("Azure Batch Job Submitter", "account", account.account.id)', "pass", "the roles of submitter"),
    "a role for the whole group": ("access.py", 'grants.give("Azure Batch Account Reader", "account", account.account.id)', 'grants.give("Azure Batch Account Reader", "group", place.group.id)', "too many"),
}  # fmt: skip
VNET = {"network": "vnet"}
WITH_OPTIONS = {
    "nodes with public addresses": (VNET, "pool.py", '"NoPublicIPAddresses"', '"BatchManaged"', "networkConfiguration"),
    "open storage beside the network": (VNET, "storage.py", '"Deny" if settings.private', '"Allow" if settings.private', "storage: defaultAction"),
    "no way to the node management": (VNET, "__main__.py", '        Target("node-management", account.account.id, "nodeManagement", "privatelink.batch.azure.com"),\n', "", "private endpoints"),
    "a pool before its endpoints": (VNET, "__main__.py", "needed += [network.private_endpoint(target) for target in targets]", "[network.private_endpoint(target) for target in targets]", "does not wait for"),
    "admin of the registry": ({"worker": "container"}, "registry.py", "admin_user_enabled=False", "admin_user_enabled=True", "adminUserEnabled"),
    "metrics that storage does not have": ({"observability": True}, "observability.py", '"Transaction"', '"AllMetrics"', "metrics"),
    "a budget that is to begin anew": ({"budget": 9, "budget_emails": "a@b.org"}, "budget.py", ', ignore_changes=["timePeriod"]', "", "ignore_changes"),
    "events before their role": ({"events": True}, "events.py", "depends_on=[may_send, storage.queue]", "depends_on=[storage.queue]", "does not wait for its role"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_default_stack_is_found(fault, tmp_path):
    file, old, new, said = FAULTS[fault]
    assert said in found_in(with_fault(tmp_path, file, old, new), {})


@pytest.mark.parametrize("fault", WITH_OPTIONS)
def test_a_fault_in_an_option_is_found(fault, tmp_path):
    options, file, old, new, said = WITH_OPTIONS[fault]
    assert said in found_in(with_fault(tmp_path, file, old, new), options)


def found_in(program, options):
    try:
        return "\n".join(all_findings(run(None, options, program)))
    except Exception as error:  # noqa: BLE001 - the program may refuse its own fault
        return str(error)
