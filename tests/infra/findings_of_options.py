"""What must hold where an option is on: the registry, the network, events, logs and the budget."""

from collections.abc import Iterator

from wanted import Check, equal, identity_of, wanted

from recording import Graph, Made

FREE_RETENTION_DAYS = 31  # Log Analytics keeps so long for nothing
SYSTEM = {"type": "SystemAssigned"}
ZONES = {
    "blob": "privatelink.blob.core.windows.net",
    "queue": "privatelink.queue.core.windows.net",
    "nodeManagement": "privatelink.batch.azure.com",
    "batchAccount": "privatelink.batch.azure.com",
}
"""Part of a resource that has a private endpoint -> the zone in which Azure looks for its name."""


def images_come_by_identity(graph: Graph) -> Iterator[str]:
    pool = graph.one("batch:Pool")
    machine = pool.inputs["deploymentConfiguration"]["virtualMachineConfiguration"]
    if not graph.has("containerregistry:Registry"):
        yield from equal("the container of nodes without a registry", machine.get("containerConfiguration"), None)
        return
    registry = graph.one("containerregistry:Registry")
    yield from wanted(
        registry,
        sku={"name": "Basic"},
        adminUserEnabled=False,
        anonymousPullEnabled=False,
        publicNetworkAccess="Enabled",  # of this tier nothing else is to be had
    )
    server = registry.outputs["loginServer"]
    image = graph.outputs["worker_image"]
    yield from equal("the image's registry", image.partition("/")[0], server)
    source = {"registryServer": server, "identityReference": {"resourceId": identity_of(graph, "pool").id}}
    expected = {"type": "DockerCompatible", "containerImageNames": [image], "containerRegistries": [source]}
    yield from equal("how nodes fetch the image", machine.get("containerConfiguration"), expected)


def networks_are_closed(graph: Graph) -> Iterator[str]:
    if not graph.has("network:VirtualNetwork"):
        return
    rules = graph.one("network:NetworkSecurityGroup")
    nodes, endpoints = (_subnet(graph, word) for word in ("nodes", "endpoints"))
    for subnet in (nodes, endpoints):
        yield from wanted(subnet, defaultOutboundAccess=False, networkSecurityGroup={"id": rules.id})
    yield from wanted(endpoints, privateEndpointNetworkPolicies="Enabled", natGateway=None)
    for rule in rules.inputs["securityRules"]:
        if rule.get("access") != "Deny":
            yield f"{rules.name} lets {rule.get('name')} through"
    closed = {
        "name": "nothing-in-from-the-internet", "priority": 4096, "direction": "Inbound", "access": "Deny",
        "protocol": "*", "sourceAddressPrefix": "Internet", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "*",
    }  # fmt: skip
    yield from wanted(rules, securityRules=[closed])
    yield from wanted(graph.one("network:VirtualNetwork"), addressSpace={"addressPrefixes": ["10.20.0.0/16"]})
    yield from equal("the nodes' addresses", nodes.inputs["addressPrefix"], "10.20.0.0/20")
    yield from equal("the endpoints' addresses", endpoints.inputs["addressPrefix"], "10.20.16.0/24")


def _subnet(graph: Graph, word: str) -> Made:
    return next(one for one in graph.of("network:Subnet") if one.inputs["subnetName"] == word)


def the_way_out_is_one_address(graph: Graph) -> Iterator[str]:
    for gateway in graph.of("network:NatGateway"):
        address = graph.one("network:PublicIPAddress")
        yield from wanted(gateway, sku={"name": "Standard"}, publicIpAddresses=[{"id": address.id}])
        yield from wanted(address, sku={"name": "Standard"}, publicIPAllocationMethod="Static")
        yield from wanted(_subnet(graph, "nodes"), natGateway={"id": gateway.id})
    if graph.has("network:PublicIPAddress") and not graph.has("network:NatGateway"):
        yield "an address without a gateway"


def private_networks_are_private(graph: Graph) -> Iterator[str]:
    pool, account = graph.one("batch:Pool"), graph.one("batch:BatchAccount")
    private = graph.has("network:VirtualNetwork")
    network = {"publicIPAddressConfiguration": {"provision": "BatchManaged"}}
    if private:
        network = {
            "subnetId": _subnet(graph, "nodes").id,
            "publicIPAddressConfiguration": {"provision": "NoPublicIPAddresses"},
        }
    yield from wanted(pool, networkConfiguration=network)
    yield from _storage_is_reached_by_those_who_may(graph.one("storage:StorageAccount"), private)
    yield from _batch_is_reached_by_those_who_may(account, private)
    if private:
        targets = {"blob", "queue", "nodeManagement"}
        yield from _endpoints_lead_to(graph, targets | ({"batchAccount"} if _closed(account) else set()))


def _closed(one: Made) -> bool:
    return bool(one.inputs["publicNetworkAccess"] == "Disabled")


def _allowed(rules: list[dict[str, str]], address: str) -> Iterator[str]:
    for rule in rules:
        if rule.get("action") != "Allow" or not rule.get(address):
            yield f"an address is let in by {rule!r}"


def _storage_is_reached_by_those_who_may(account: Made, private: bool) -> Iterator[str]:
    rules = account.inputs.get("networkRuleSet") or {}
    addresses = rules.get("ipRules")
    yield from equal("storage: bypass", rules.get("bypass"), "AzureServices")
    yield from equal("storage: defaultAction", rules.get("defaultAction"), "Deny" if private else "Allow")
    yield from equal("storage: addresses are listed", isinstance(addresses, list), True)
    yield from _allowed(addresses or [], "iPAddressOrRange")
    yield from wanted(account, publicNetworkAccess="Disabled" if private and not addresses else "Enabled")


def _batch_is_reached_by_those_who_may(account: Made, private: bool) -> Iterator[str]:
    if private and _closed(account):
        yield from wanted(account, networkProfile=None)
        return
    yield from wanted(account, publicNetworkAccess="Enabled")
    profile = account.inputs.get("networkProfile") or {}
    access = profile.get("accountAccess") or {}
    addresses = access.get("ipRules")
    yield from equal("Batch: addresses are listed", isinstance(addresses, list), True)
    yield from _allowed(addresses or [], "value")
    yield from equal("Batch: accountAccess", access.get("defaultAction"), "Deny" if addresses else "Allow")
    nodes = {"defaultAction": "Deny" if private else "Allow", "ipRules": []}
    yield from equal("Batch: nodeManagementAccess", profile.get("nodeManagementAccess"), nodes)


def _endpoints_lead_to(graph: Graph, parts: set[str]) -> Iterator[str]:
    """One endpoint a part, with a name in the zone where the network looks for it."""
    seen = []
    for endpoint in graph.of("network:PrivateEndpoint"):
        yield from wanted(endpoint, subnet={"id": _subnet(graph, "endpoints").id})
        links = endpoint.inputs["privateLinkServiceConnections"]
        part = links[0]["groupIds"][0] if len(links) == 1 and len(links[0].get("groupIds", ())) == 1 else None
        if part not in ZONES:
            yield f"{endpoint.name} leads to {links}"
            continue
        seen.append(part)
        owner = graph.one("batch:BatchAccount" if "batch" in ZONES[part] else "storage:StorageAccount")
        yield from equal(f"{endpoint.name} leads to", links[0].get("privateLinkServiceId"), owner.id)
        yield from _is_found_in(graph, endpoint, ZONES[part])
    if sorted(seen) != sorted(parts):
        yield f"private endpoints lead to {sorted(seen)}, not {sorted(parts)}"


def _is_found_in(graph: Graph, endpoint: Made, zone: str) -> Iterator[str]:
    name = endpoint.outputs["name"]
    zones = [one for one in graph.of("privatedns:PrivateZone") if one.inputs.get("privateZoneName") == zone]
    groups = [one for one in graph.of("network:PrivateDnsZoneGroup") if one.inputs.get("privateEndpointName") == name]
    if len(zones) != 1 or len(groups) != 1:
        yield f"{endpoint.name}: {len(zones)} zones {zone}, {len(groups)} groups"
        return
    into = [one.get("privateDnsZoneId") for one in groups[0].inputs.get("privateDnsZoneConfigs", [])]
    yield from equal(f"{endpoint.name} is named in", into, [zones[0].id])
    network = {"id": graph.one("network:VirtualNetwork").id}
    links = [one for one in graph.of("privatedns:VirtualNetworkLink") if one.inputs.get("privateZoneName") == zone]
    yield from equal(f"{zone} is linked to", [one.inputs.get("virtualNetwork") for one in links], [network])
    for one in (*zones, *links):
        yield from wanted(one, location="global")
    for link in links:
        yield from wanted(link, registrationEnabled=False)


def events_come_by_identity(graph: Graph) -> Iterator[str]:
    for subscription in graph.of("eventgrid:SystemTopicEventSubscription"):
        topic, account = graph.one("eventgrid:SystemTopic"), graph.one("storage:StorageAccount")
        yield from wanted(topic, identity=SYSTEM, source=account.id, topicType="Microsoft.Storage.StorageAccounts")
        queue = {
            "endpointType": "StorageQueue",
            "resourceId": account.id,
            "queueName": graph.one("storage:Queue").outputs["name"],
            "queueMessageTimeToLiveInSeconds": 86400,
        }
        yield from wanted(
            subscription,
            destination=None,
            deliveryWithResourceIdentity={"identity": SYSTEM, "destination": queue},
            eventDeliverySchema="CloudEventSchemaV1_0",
            filter={
                "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
                "subjectBeginsWith": "/blobServices/default/containers/runs/blobs/",
                "advancedFilters": [{"operatorType": "StringContains", "key": "subject", "values": ["/results/"]}],
            },
        )
        principal = topic.outputs["identity"]["principalId"]
        roles = [one for one in graph.of("authorization:RoleAssignment") if one.inputs["principalId"] == principal]
        if not roles or not {one.urn for one in roles} <= graph.needs(subscription):
            yield f"{subscription.name} does not wait for its role"
        if graph.one("storage:Queue").urn not in graph.needs(subscription):
            yield f"{subscription.name} does not wait for its queue"


def logs_are_kept_as_long_as_it_costs_nothing(graph: Graph) -> Iterator[str]:
    for workspace in graph.of("operationalinsights:Workspace"):
        yield from wanted(workspace, sku={"name": "PerGB2018"}, workspaceCapping={"dailyQuotaGb": 1})
        days = workspace.inputs.get("retentionInDays")
        if days is None or not 30 <= days <= FREE_RETENTION_DAYS:
            yield f"{workspace.name}: retentionInDays is {days}"
        blobs = f"{graph.one('storage:StorageAccount').id}/blobServices/default"
        sent = {one.inputs.get("resourceUri"): one for one in graph.of("monitor:DiagnosticSetting")}
        logs = {
            graph.one("batch:BatchAccount").id: ({"categoryGroup": "allLogs"}, "AllMetrics"),
            # Reads and writes are one line an image. "Metric category 'AllMetrics' is not supported" there.
            blobs: ({"category": "StorageDelete"}, "Transaction"),
        }
        yield from equal("logs come from", sorted(map(str, sent)), sorted(logs))
        for resource, one in sent.items():
            log, metrics = logs.get(resource, ({}, ""))
            yield from wanted(
                one,
                workspaceId=workspace.id,
                logs=[{**log, "enabled": True}],
                metrics=[{"category": metrics, "enabled": True}],
            )
    for component in graph.of("applicationinsights:Component"):
        yield from wanted(
            component,
            workspaceResourceId=graph.one("operationalinsights:Workspace").id,
            ingestionMode="LogAnalytics",
            disableLocalAuth=True,
            applicationType="other",
            kind="other",
        )


def somebody_is_told_before_the_money_is_spent(graph: Graph) -> Iterator[str]:
    for budget in graph.of("consumption:Budget"):
        mails = budget.inputs.get("notifications") or {}
        people = [mail.get("contactEmails") for mail in mails.values()]
        if not all(people) or any("@" not in one for some in people for one in some or []) or people != people[:1] * 2:
            yield f"{budget.name} tells {people}"
        expected = [
            {
                "enabled": True, "operator": "GreaterThanOrEqualTo", "threshold": percent, "thresholdType": kind,
                "contactEmails": people[0] if people else None,
            }
            for percent, kind in ((100, "Forecasted"), (80, "Actual"))
        ]  # fmt: skip
        yield from equal(f"{budget.name}: mails", [mails[name] for name in sorted(mails)], expected)
        yield from wanted(budget, category="Cost", timeGrain="Monthly", scope=graph.one("resources:ResourceGroup").id)
        begins = (budget.inputs.get("timePeriod") or {}).get("startDate", "")
        if not begins.endswith("-01T00:00:00Z"):
            yield f"{budget.name} begins at {begins!r}"


CHECKS: tuple[Check, ...] = (
    images_come_by_identity,
    networks_are_closed,
    the_way_out_is_one_address,
    private_networks_are_private,
    events_come_by_identity,
    logs_are_kept_as_long_as_it_costs_nothing,
    somebody_is_told_before_the_money_is_spent,
)
