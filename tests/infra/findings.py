"""What must hold for every stack: each check yields one line for each thing that does not."""

import re
from collections.abc import Iterator
from typing import Any

import findings_of_changes
import findings_of_options
import findings_of_references
import findings_of_roles
from wanted import Check, equal, identity_of, principal_of, wanted

from recording import STACK_TYPE, Graph

UNTAGGABLE = {
    "storage:BlobServiceProperties", "storage:BlobContainer", "storage:ManagementPolicy", "storage:Queue",
    "batch:Pool",
    "authorization:RoleAssignment", "eventgrid:SystemTopicEventSubscription", "monitor:DiagnosticSetting",
    "consumption:Budget", "network:Subnet", "network:PrivateDnsZoneGroup",
}  # fmt: skip
SECRET_NAMES = re.compile(
    r"password|secret(?!ure)|accountKey|sasKey|connectionString|sharedKey$|privateKey", re.IGNORECASE
)
SECRET_VALUES = re.compile(r"sig=|AccountKey=|SharedAccessKey=|-----BEGIN|[A-Za-z0-9+/]{86}==")
WHEEL_IMAGE = {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
CONTAINER_IMAGE = {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404", "version": "latest"}
LONGEST_DAYS = 3650


def storage_is_keyless_and_closed(graph: Graph) -> Iterator[str]:
    yield from wanted(
        graph.one("storage:StorageAccount"),
        allowSharedKeyAccess=False,
        allowBlobPublicAccess=False,
        allowCrossTenantReplication=False,
        defaultToOAuthAuthentication=True,
        enableHttpsTrafficOnly=True,
        minimumTlsVersion="TLS1_2",
        kind="StorageV2",  # the others have no lifecycle
    )
    for container in graph.of("storage:BlobContainer"):
        yield from wanted(container, publicAccess="None")
    if graph.has("storage:Blob"):
        yield "storage:Blob is made with the account's key"


def storage_has_its_containers_and_its_queue(graph: Graph) -> Iterator[str]:
    containers = {one.inputs["containerName"] for one in graph.of("storage:BlobContainer")}
    worker = set() if graph.has("containerregistry:Registry") else {"worker"}
    yield from equal("containers", containers, {"inputs", "outputs", "runs"} | worker)
    if [one.inputs["queueName"] for one in graph.of("storage:Queue")] != ["events"]:
        yield "there is not just the queue events"


def deleted_blobs_can_be_brought_back(graph: Graph) -> Iterator[str]:
    service = graph.one("storage:BlobServiceProperties")
    yield from wanted(service, isVersioningEnabled=True)
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        kept = service.inputs.get(policy) or {}
        if not kept.get("enabled") or not 1 <= kept.get("days", 0) <= 365:
            yield f"{policy} is {kept!r}"


def runs_expire_and_inputs_stay(graph: Graph) -> Iterator[str]:
    rules = graph.one("storage:ManagementPolicy").inputs["policy"]["rules"]
    deleting = [rule for rule in rules if "baseBlob" in rule["definition"]["actions"]]
    prefixes = [prefix for rule in deleting for prefix in rule["definition"]["filters"].get("prefixMatch", [""])]
    if "runs/" not in prefixes:
        yield "runs do not expire"
    if any("inputs/".startswith(prefix) or prefix.startswith("inputs") for prefix in prefixes):
        yield f"originals expire: {prefixes}"
    for rule in deleting:
        yield from _expires(rule, {"baseBlob": "daysAfterModificationGreaterThan"})
    others = [rule for rule in rules if rule not in deleting]
    yield from equal("rules of old versions", len(others), 1)
    for rule in others:
        yield from equal("old versions expire everywhere but", rule["definition"]["filters"].get("prefixMatch"), None)
        yield from _expires(
            rule, {"version": "daysAfterCreationGreaterThan", "snapshot": "daysAfterCreationGreaterThan"}
        )
    names = {rule["name"]: rule["definition"]["filters"].get("prefixMatch") for rule in rules}
    expected = {"runs-expire": ["runs/"], "outputs-expire": ["outputs/"], "old-versions-expire": None}
    yield from equal("rules", names, {name: expected.get(name, "") for name in names})


def _expires(rule: dict[str, Any], actions: dict[str, str]) -> Iterator[str]:
    """A rule that is on and deletes; ``actions`` is what of a blob -> what its days are counted from."""
    name, definition = rule["name"], rule["definition"]
    yield from equal(f"{name} is a rule", (rule.get("enabled"), rule.get("type")), (True, "Lifecycle"))
    yield from equal(f"{name} is for", definition["filters"].get("blobTypes"), ["blockBlob"])
    yield from equal(f"{name} deletes", set(definition["actions"]), set(actions))
    for of, since in actions.items():
        delete = (definition["actions"].get(of) or {}).get("delete") or {}
        if not 1 <= delete.get(since, 0) <= LONGEST_DAYS:
            yield f"{name}: {of} goes after {delete}"


def the_account_takes_entra_only(graph: Graph) -> Iterator[str]:
    account = graph.one("batch:BatchAccount")
    yield from wanted(account, allowedAuthenticationModes=["AAD"], poolAllocationMode="BatchService")
    auto = {
        "storageAccountId": graph.one("storage:StorageAccount").id,
        "authenticationMode": "BatchAccountManagedIdentity",
        "nodeIdentityReference": {"resourceId": identity_of(graph, "pool").id},
    }
    yield from equal("auto storage", account.inputs["autoStorage"], auto)
    identity = {"type": "UserAssigned", "userAssignedIdentities": [identity_of(graph, "account").id]}
    yield from equal("the account's identity", account.inputs.get("identity"), identity)


def the_pool_is_safe_and_current(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    size = re.fullmatch(r"Standard_[DEF](\d+)[a-z]*_v([5-9])", pool.inputs["vmSize"])
    if size is None:
        yield f"the family of {pool.inputs['vmSize']} is not current"
    elif pool.inputs["taskSlotsPerNode"] != int(size[1]):
        yield f"{pool.inputs['taskSlotsPerNode']:g} slots on {pool.inputs['vmSize']}"
    identity = {"type": "UserAssigned", "userAssignedIdentities": [identity_of(graph, "pool").id]}
    yield from equal("the nodes' identities", pool.inputs.get("identity"), identity)
    yield from wanted(
        pool,
        interNodeCommunication="Disabled",
        taskSchedulingPolicy={"nodeFillType": "Pack"},
        poolName=graph.outputs["pool"],
        metadata=[{"name": "worker_version", "value": graph.outputs["worker_version"]}],
    )
    scaling = pool.inputs["scaleSettings"].get("autoScale") or {}
    yield from equal("the pool scales by itself every", scaling.get("evaluationInterval"), "PT5M")
    if not {"$TargetLowPriorityNodes", "$TargetDedicatedNodes"} <= set(
        re.findall(r"\$\w+", scaling.get("formula", ""))
    ):
        yield f"the pool scales by {scaling.get('formula')!r}"
    if "$NodeDeallocationOption = taskcompletion;" not in scaling.get("formula", ""):
        yield "nodes that leave do not end their tasks first"


def nodes_are_what_the_worker_runs_on(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    machine = pool.inputs["deploymentConfiguration"]["virtualMachineConfiguration"]
    in_container = graph.has("containerregistry:Registry")
    yield from equal("the nodes' agent", machine.get("nodeAgentSkuId"), "batch.node.ubuntu 24.04")
    yield from equal("the nodes' image", machine["imageReference"], CONTAINER_IMAGE if in_container else WHEEL_IMAGE)
    uefi = {"secureBootEnabled": True, "vTpmEnabled": True}
    security = {"securityType": "trustedLaunch", "uefiSettings": uefi}
    yield from equal("Trusted Launch", machine.get("securityProfile"), security)
    yield from equal(
        "the nodes' disk", machine.get("osDisk"), {"managedDisk": {"storageAccountType": "StandardSSD_LRS"}}
    )
    start = pool.inputs.get("startTask")
    if in_container:
        yield from equal("the start task beside a container", start, None)
        return
    yield from equal(
        "who starts a node", start.get("userIdentity"), {"autoUser": {"scope": "Pool", "elevationLevel": "NonAdmin"}}
    )
    yield from equal("tasks wait for the start", start.get("waitForSuccess"), True)
    yield from equal("a start is tried again", start.get("maxTaskRetryCount"), 2)
    bundle = {
        "httpUrl": graph.outputs["worker_bundle"],
        "filePath": "worker.tar",
        "identityReference": {"resourceId": identity_of(graph, "pool").id},
    }
    yield from equal("what a node fetches", start.get("resourceFiles"), [bundle])
    words = ("tar -xf worker.tar", "--no-index", "--no-deps", "--require-hashes", "set -eu")
    yield from equal("the start lacks", [word for word in words if word not in start.get("commandLine", "")], [])


def the_pool_waits_for_what_its_nodes_need(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    waits = graph.needs(pool)
    principal = principal_of(graph, "pool")
    needed = [one for one in graph.of("authorization:RoleAssignment") if one.inputs["principalId"] == principal]
    for one in needed + graph.of("network:PrivateDnsZoneGroup"):
        if one.urn not in waits:
            yield f"the pool does not wait for {one.name}"
    account_waits = graph.needs(graph.one("batch:BatchAccount"))
    for one in graph.of("authorization:RoleAssignment"):
        if one.inputs["principalId"] == principal_of(graph, "account") and one.urn not in account_waits:
            yield f"the account does not wait for {one.name}"


def nothing_looks_like_a_secret(graph: Graph) -> Iterator[str]:
    for one, path, value in graph.leaves():
        if SECRET_NAMES.search(path.rsplit(".", 1)[-1]) and not isinstance(value, bool):
            yield f"{one.name}: {path} is named as a secret"
        if isinstance(value, str) and SECRET_VALUES.search(value):
            yield f"{one.name}: {path} looks like a secret"


def everything_is_tagged_and_parented(graph: Graph) -> Iterator[str]:
    for one in graph.made:
        of_the_stack = not one.parent or one.parent.split("::")[2] == STACK_TYPE
        if one.custom and of_the_stack and one.kind != "resources:ResourceGroup":
            yield f"{one.kind} {one.name} has no parent"
        if one.custom and one.kind not in UNTAGGABLE and set(one.inputs.get("tags") or ()) < {"project", "stack"}:
            yield f"{one.kind} {one.name} has no tags"


def outputs_lead_to_what_is_made(graph: Graph) -> Iterator[str]:
    storage = str(graph.one("storage:StorageAccount").outputs["primaryEndpoints"]["blob"]).rstrip("/")
    account, version = graph.one("batch:BatchAccount"), graph.outputs["worker_version"]
    expected = {
        "batch_endpoint": f"https://{account.outputs['accountEndpoint']}",
        "batch_account_id": account.id,
        "storage_endpoint": storage,
        "node_identity": identity_of(graph, "pool").outputs["clientId"],
        "resource_group": graph.one("resources:ResourceGroup").outputs["name"],
        "worker_bundle": f"{storage}/worker/batchimg-worker-{version}.tar",
        "worker_image": "",
    }
    for registry in graph.of("containerregistry:Registry"):
        image = f"{registry.outputs['loginServer']}/batchimg-worker:{version}"
        expected |= {"worker_bundle": "", "worker_image": image}
    for name, value in expected.items():
        yield from equal(f"output {name}", graph.outputs.get(name), value)


def names_are_unique(graph: Graph) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for one in graph.made:
        if (one.type, one.name) in seen:
            yield f"two of {one.type} {one.name}"
        seen.add((one.type, one.name))
    ids = [one.id for one in graph.made if one.custom]
    yield from (f"two resources are {twice}" for twice in {one for one in ids if ids.count(one) > 1})


CHECKS: tuple[Check, ...] = (
    storage_is_keyless_and_closed,
    storage_has_its_containers_and_its_queue,
    deleted_blobs_can_be_brought_back,
    runs_expire_and_inputs_stay,
    the_account_takes_entra_only,
    the_pool_is_safe_and_current,
    nodes_are_what_the_worker_runs_on,
    *findings_of_options.CHECKS,
    *findings_of_roles.CHECKS,
    everything_is_tagged_and_parented,
    outputs_lead_to_what_is_made,
    names_are_unique,
    nothing_looks_like_a_secret,
    the_pool_waits_for_what_its_nodes_need,
    *findings_of_references.CHECKS,
    *findings_of_changes.CHECKS,
)


def all_findings(graph: Graph) -> list[str]:
    return [line for check in CHECKS for line in check(graph)]
