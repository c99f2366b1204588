"""Put a fault into every input of every resource of a graph, one at a time, and see whether a check speaks.

What no check holds stands in FREE with its reason; so a new property without a check is found.
"""

import copy
import dataclasses

from findings import CHECKS
from recording import Graph

SETTING = "a setting's value: test_settings_reach_what_they_are_for"
SDKS_OWN = "the SDK sends Azure's own default"
A_NAME = "a name that nothing else uses"
FREE = {
    "consumption:Budget amount": SETTING,
    "storage:StorageAccount sku": SETTING,
    "storage:StorageAccount networkRuleSet.ipRules.iPAddressOrRange": SETTING,
    "batch:BatchAccount networkProfile.accountAccess.ipRules.value": SETTING,
    "storage:BlobServiceProperties deleteRetentionPolicy.days": SETTING,
    "storage:BlobServiceProperties containerDeleteRetentionPolicy.days": SETTING,
    "storage:ManagementPolicy policy.rules": SETTING,
    "storage:StorageAccount accessTier": SDKS_OWN,
    "containerregistry:Registry zoneRedundancy": SDKS_OWN,
    "containerregistry:Registry networkRuleBypassOptions": SDKS_OWN,
    "network:VirtualNetwork enableVmProtection": SDKS_OWN,
    "network:VirtualNetwork enableDdosProtection": SDKS_OWN,
    "network:Subnet privateLinkServiceNetworkPolicies": SDKS_OWN,
    "network:Subnet privateEndpointNetworkPolicies": SDKS_OWN + "; of the endpoints' subnet it is held",
    "applicationinsights:Component requestSource": SDKS_OWN,
    "applicationinsights:Component flowType": SDKS_OWN,
    "applicationinsights:Component publicNetworkAccessForQuery": SDKS_OWN,
    "applicationinsights:Component publicNetworkAccessForIngestion": SDKS_OWN,
    "operationalinsights:Workspace retentionInDays": "30 or 31: both are in the price",
    "network:PrivateEndpoint privateLinkServiceConnections.name": A_NAME,
    "network:PrivateDnsZoneGroup privateDnsZoneGroupName": A_NAME,
    "network:PrivateDnsZoneGroup privateDnsZoneConfigs.name": A_NAME,
    "monitor:DiagnosticSetting name": A_NAME,
    "eventgrid:SystemTopicEventSubscription eventSubscriptionName": A_NAME,
    "storage:ManagementPolicy managementPolicyName": "the only name that there is: the schema holds it",
    "storage:BlobServiceProperties blobServicesName": "the only name that there is: the schema holds it",
}  # fmt: skip
"""Kind and path, without places in lists -> why no check speaks; what lies below a path is free too."""

Path = tuple[str | int, ...]


def paths(value, path: Path = ()):
    """Every path into an input, of lists and objects too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from paths(below, (*path, key))


def changed(value):
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else "another"


def mutants(inputs):
    """The inputs without the piece at each path, and with another value at each leaf: the path, the inputs."""
    for path in paths(inputs):
        for word in ("left out", "changed"):
            new = copy.deepcopy(inputs)
            place = new
            for key in path[:-1]:
                place = place[key]
            if word == "left out":
                del place[path[-1]]
            elif isinstance(place[path[-1]], dict | list):
                continue
            else:
                place[path[-1]] = changed(place[path[-1]])
            yield word, path, new


def speaks(graph: Graph) -> bool:
    try:
        return any(line for check in CHECKS for line in check(graph))
    except Exception:  # noqa: BLE001 - a check that cannot read the graph has noticed
        return True


def free(kind: str, path: Path) -> str | None:
    """The entry of FREE under which an input is, the nearest one."""
    words = [word for word in path if isinstance(word, str)]
    return next((f for n in range(len(words), 0, -1) if (f := f"{kind} {'.'.join(words[:n])}") in FREE), None)


def _unheld(graph: Graph, place: int) -> list[tuple[str, Path]]:
    """What can be done to a resource of the graph without a word of any check."""
    one = graph.made[place]
    found = []
    for word, path, inputs in mutants(one.inputs):
        made = list(graph.made)
        made[place] = dataclasses.replace(one, inputs=inputs)
        if path[0] != "tags" and not speaks(Graph(made, graph.outputs)):
            found.append((word, path))
    return found


def unheld(graph: Graph) -> list[tuple[str, str, Path]]:
    """What can be done to the graph without a word of any check: left out or changed, the kind, the path."""
    places = [place for place, one in enumerate(graph.made) if one.custom]
    return [(word, graph.made[place].kind, path) for place in places for word, path in _unheld(graph, place)]
