"""What must hold for every stack: each check yields one line for each thing that does not."""

import re
from collections.abc import Callable, Iterator

from recording import Graph, Made

CONTRIBUTOR, READER = "ba92f5b4-2d11-453d-a403-e96b0029c9fe", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
ACR_PULL, QUEUE_SENDER = "7f951dda-4ed3-4680-a7ca-43fe172d538d", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"
SUBMITTER, BATCH_READER = "48e5e92e-a480-4e71-aa9c-2778f4c13781", "11076f67-66f6-4be0-8f6b-f0609fd05cc9"
ALLOWED_ROLES = {
    CONTRIBUTOR, READER, ACR_PULL, QUEUE_SENDER, SUBMITTER, BATCH_READER,
    "8311e382-0749-4cb8-b61a-304f252e45ec",  # AcrPush, to submitters
    "8a0f0c08-91a1-4084-bc3d-661d67233fed",  # Storage Queue Data Message Processor, to submitters
}  # fmt: skip
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

Check = Callable[[Graph], Iterator[str]]


def wanted(one: Made, **values: object) -> Iterator[str]:
    """A line for each input that is not as wanted."""
    for name, value in values.items():
        if one.inputs.get(name) != value:
            yield f"{one.kind} {one.name}: {name} is {one.inputs.get(name)!r}, not {value!r}"


def storage_is_keyless_and_closed(graph: Graph) -> Iterator[str]:
    yield from wanted(
        graph.one("storage:StorageAccount"),
        allowSharedKeyAccess=False,
        allowBlobPublicAccess=False,
        allowCrossTenantReplication=False,
        defaultToOAuthAuthentication=True,
        enableHttpsTrafficOnly=True,
        minimumTlsVersion="TLS1_2",
    )
    for container in graph.of("storage:BlobContainer"):
        yield from wanted(container, publicAccess="None")
    if graph.has("storage:Blob"):
        yield "storage:Blob is made with the account's key"


def storage_has_its_containers_and_its_queue(graph: Graph) -> Iterator[str]:
    containers = {one.inputs["containerName"] for one in graph.of("storage:BlobContainer")}
    if not {"inputs", "outputs", "runs"} <= containers:
        yield f"containers are {sorted(containers)}"
    if [one.inputs["queueName"] for one in graph.of("storage:Queue")] != ["events"]:
        yield "there is not just the queue events"


def deleted_blobs_can_be_brought_back(graph: Graph) -> Iterator[str]:
    service = graph.one("storage:BlobServiceProperties")
    yield from wanted(service, isVersioningEnabled=True)
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        kept = service.inputs.get(policy) or {}
        if not kept.get("enabled") or not kept.get("days"):
            yield f"{policy} is {kept!r}"


def runs_expire_and_inputs_stay(graph: Graph) -> Iterator[str]:
    rules = graph.one("storage:ManagementPolicy").inputs["policy"]["rules"]
    deleting = [rule for rule in rules if "baseBlob" in rule["definition"]["actions"] and rule["enabled"]]
    prefixes = [prefix for rule in deleting for prefix in rule["definition"]["filters"].get("prefixMatch", [""])]
    if "runs/" not in prefixes:
        yield "runs do not expire"
    if any("inputs/".startswith(prefix) or prefix.startswith("inputs") for prefix in prefixes):
        yield f"originals expire: {prefixes}"


def the_account_takes_entra_only(graph: Graph) -> Iterator[str]:
    account = graph.one("batch:BatchAccount")
    yield from wanted(account, allowedAuthenticationModes=["AAD"], poolAllocationMode="BatchService")
    auto = account.inputs["autoStorage"]
    if auto.get("authenticationMode") != "BatchAccountManagedIdentity":
        yield f"auto storage is reached by {auto.get('authenticationMode')}"
    identity = account.inputs.get("identity") or {}
    if identity.get("type") != "UserAssigned" or "account" not in str(identity.get("userAssignedIdentities")):
        yield f"the account's identity is {identity}"


def the_pool_is_safe_and_current(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    machine = pool.inputs["deploymentConfiguration"]["virtualMachineConfiguration"]
    size = re.fullmatch(r"Standard_[DEF](\d+)[a-z]*_v([5-9])", pool.inputs["vmSize"])
    if size is None:
        yield f"the family of {pool.inputs['vmSize']} is not current"
    elif pool.inputs["taskSlotsPerNode"] != int(size[1]):
        yield f"{pool.inputs['taskSlotsPerNode']:g} slots on {pool.inputs['vmSize']}"
    if machine["nodeAgentSkuId"] != "batch.node.ubuntu 24.04" or "24" not in str(machine["imageReference"]):
        yield f"nodes are {machine['imageReference']} with {machine['nodeAgentSkuId']}"
    security = machine.get("securityProfile") or {}
    if security.get("securityType") != "trustedLaunch" or security.get("uefiSettings") != {
        "secureBootEnabled": True,
        "vTpmEnabled": True,
    }:
        yield f"no Trusted Launch: {security}"
    if "endpointConfiguration" in pool.inputs["networkConfiguration"]:
        yield "something leads into the nodes"
    identities = (pool.inputs.get("identity") or {}).get("userAssignedIdentities") or []
    if [one.rsplit("-", 1)[-1] for one in identities] != ["pool"]:
        yield f"the nodes' identities are {identities}"
    if "autoScale" not in pool.inputs["scaleSettings"]:
        yield "the pool does not scale by itself"


def _roles_of(graph: Graph, who: str) -> set[tuple[str, str]]:
    return {
        (one.inputs["roleDefinitionId"].rsplit("/", 1)[-1], one.inputs["scope"].rsplit("/", 1)[-1])
        for one in graph.of("authorization:RoleAssignment")
        if one.inputs["principalId"] == who
    }


def _principal(graph: Graph, whose: str) -> str:
    found = [one for one in graph.of("managedidentity:UserAssignedIdentity") if one.name.endswith(f"-{whose}")]
    return str(found[0].outputs["principalId"])


def roles_are_the_least_that_do(graph: Graph) -> Iterator[str]:
    last = {(READER, "worker")}
    if graph.has("containerregistry:Registry"):
        last = {(ACR_PULL, graph.one("containerregistry:Registry").outputs["name"])}
    expected = {(READER, "inputs"), (CONTRIBUTOR, "outputs"), (CONTRIBUTOR, "runs")} | last
    given = _roles_of(graph, _principal(graph, "pool"))
    if given != expected:
        yield f"the nodes' roles: {sorted(given ^ expected)} missing or too many"
    storage = graph.one("storage:StorageAccount").outputs["name"]
    given = _roles_of(graph, _principal(graph, "account"))
    if given != {(CONTRIBUTOR, storage)}:
        yield f"the account's roles: {sorted(given)}"
    for one in graph.of("authorization:RoleAssignment"):
        role = one.inputs["roleDefinitionId"].rsplit("/", 1)[-1]
        if role not in ALLOWED_ROLES:
            yield f"{one.name} gives the role {role}"
        if "/providers/" not in one.inputs["scope"]:
            yield f"{one.name} is for a whole group or subscription"


def submitters_can_submit(graph: Graph) -> Iterator[str]:
    account = graph.one("batch:BatchAccount").outputs["name"]
    needed = {(SUBMITTER, account), (BATCH_READER, account)}
    needed |= {(CONTRIBUTOR, container) for container in ("inputs", "outputs", "runs")}
    others = {_principal(graph, whose) for whose in ("pool", "account")}
    people = {one.inputs["principalId"] for one in graph.of("authorization:RoleAssignment")} - others
    able = [who for who in people if needed <= _roles_of(graph, who)]
    if not able:
        yield "nobody may submit"


def the_pool_waits_for_what_its_nodes_need(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    waits = graph.needs(pool)
    principal = _principal(graph, "pool")
    needed = [one for one in graph.of("authorization:RoleAssignment") if one.inputs["principalId"] == principal]
    for one in needed + graph.of("network:PrivateDnsZoneGroup"):
        if one.urn not in waits:
            yield f"the pool does not wait for {one.name}"
    account_waits = graph.needs(graph.one("batch:BatchAccount"))
    for one in graph.of("authorization:RoleAssignment"):
        if one.inputs["principalId"] == _principal(graph, "account") and one.urn not in account_waits:
            yield f"the account does not wait for {one.name}"


def images_come_by_identity(graph: Graph) -> Iterator[str]:
    for registry in graph.of("containerregistry:Registry"):
        yield from wanted(registry, adminUserEnabled=False)
        machine = graph.one("batch:Pool").inputs["deploymentConfiguration"]["virtualMachineConfiguration"]
        container = machine.get("containerConfiguration") or {}
        if not container.get("containerImageNames"):
            yield "the image is not fetched before tasks run"
        for source in container.get("containerRegistries", []):
            if "identityReference" not in source:
                yield "images are not fetched by identity"


def networks_are_closed(graph: Graph) -> Iterator[str]:
    for subnet in graph.of("network:Subnet"):
        yield from wanted(subnet, defaultOutboundAccess=False)
        if not subnet.inputs.get("networkSecurityGroup"):
            yield f"{subnet.name} has no rules"
    for group in graph.of("network:NetworkSecurityGroup"):
        for rule in group.inputs.get("securityRules", []):
            if rule["direction"] == "Inbound" and rule["access"] == "Allow":
                yield f"{group.name} lets {rule['name']} in"


def private_networks_are_private(graph: Graph) -> Iterator[str]:
    network = graph.one("batch:Pool").inputs["networkConfiguration"]
    if not graph.has("network:VirtualNetwork"):
        if network != {"publicIPAddressConfiguration": {"provision": "BatchManaged"}}:
            yield f"nodes without a network of their own have {network}"
        return
    if network.get("publicIPAddressConfiguration") != {"provision": "NoPublicIPAddresses"} or "subnetId" not in network:
        yield f"nodes of a private network have {network}"
    parts = {
        part
        for endpoint in graph.of("network:PrivateEndpoint")
        for link in endpoint.inputs["privateLinkServiceConnections"]
        for part in link["groupIds"]
    }
    if not {"blob", "queue", "nodeManagement"} <= parts:
        yield f"private endpoints lead to {sorted(parts)}"
    rules = graph.one("storage:StorageAccount").inputs["networkRuleSet"]
    if rules["defaultAction"] != "Deny":
        yield "storage is open beside the private network"


def events_come_by_identity(graph: Graph) -> Iterator[str]:
    for subscription in graph.of("eventgrid:SystemTopicEventSubscription"):
        delivery = subscription.inputs.get("deliveryWithResourceIdentity") or {}
        if delivery.get("identity", {}).get("type") != "SystemAssigned" or "destination" in subscription.inputs:
            yield f"{subscription.name} is not delivered by identity"
        senders = [
            one
            for one in graph.of("authorization:RoleAssignment")
            if one.inputs["roleDefinitionId"].endswith(QUEUE_SENDER)
        ]
        if not senders or not {one.urn for one in senders} <= graph.needs(subscription):
            yield f"{subscription.name} does not wait for its role"


def nothing_looks_like_a_secret(graph: Graph) -> Iterator[str]:
    for one, path, value in graph.leaves():
        if SECRET_NAMES.search(path.rsplit(".", 1)[-1]) and not isinstance(value, bool):
            yield f"{one.name}: {path} is named as a secret"
        if isinstance(value, str) and SECRET_VALUES.search(value):
            yield f"{one.name}: {path} looks like a secret"


def everything_is_tagged_and_parented(graph: Graph) -> Iterator[str]:
    for one in graph.made:
        if not one.parent:
            yield f"{one.kind} {one.name} has no parent"
        if one.custom and one.kind not in UNTAGGABLE and set(one.inputs.get("tags") or ()) < {"project", "stack"}:
            yield f"{one.kind} {one.name} has no tags"


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
    roles_are_the_least_that_do,
    submitters_can_submit,
    the_pool_waits_for_what_its_nodes_need,
    images_come_by_identity,
    networks_are_closed,
    private_networks_are_private,
    events_come_by_identity,
    nothing_looks_like_a_secret,
    everything_is_tagged_and_parented,
    names_are_unique,
)


def all_findings(graph: Graph) -> list[str]:
    return [line for check in CHECKS for line in check(graph)]
