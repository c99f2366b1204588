"""What Azure would answer: ids and computed outputs of the resources that `pulumi/` makes.

Used by the tests' recording monitor and by the local provider of the rehearsal.
"""

import uuid
from collections.abc import Mapping
from typing import Any

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-0000000000aa"
DEPLOYER = "00000000-0000-0000-0000-0000000000d0"
CLIENT_CONFIG = {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "clientId": DEPLOYER, "objectId": DEPLOYER}

_GROUP = "{group}/providers/Microsoft."
_STORAGE = _GROUP + "Storage/storageAccounts/"
_NETWORK = _GROUP + "Network/"
# token -> (template of the ARM id, the input that names it); what else stands in braces is an input too
TYPES: dict[str, tuple[str, str]] = {
    "resources:ResourceGroup": ("/subscriptions/{subscription}/resourceGroups/{name}", "resourceGroupName"),
    "storage:StorageAccount": (_STORAGE + "{name}", "accountName"),
    "storage:BlobServiceProperties": (_STORAGE + "{accountName}/blobServices/{name}", "blobServicesName"),
    "storage:BlobContainer": (_STORAGE + "{accountName}/blobServices/default/containers/{name}", "containerName"),
    "storage:ManagementPolicy": (_STORAGE + "{accountName}/managementPolicies/{name}", "managementPolicyName"),
    "storage:Queue": (_STORAGE + "{accountName}/queueServices/default/queues/{name}", "queueName"),
    "batch:BatchAccount": (_GROUP + "Batch/batchAccounts/{name}", "accountName"),
    "batch:Pool": (_GROUP + "Batch/batchAccounts/{accountName}/pools/{name}", "poolName"),
    "managedidentity:UserAssignedIdentity": (
        _GROUP + "ManagedIdentity/userAssignedIdentities/{name}",
        "resourceName",
    ),
    "containerregistry:Registry": (_GROUP + "ContainerRegistry/registries/{name}", "registryName"),
    "authorization:RoleAssignment": (
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "roleAssignmentName",
    ),
    "eventgrid:SystemTopic": (_GROUP + "EventGrid/systemTopics/{name}", "systemTopicName"),
    "eventgrid:SystemTopicEventSubscription": (
        _GROUP + "EventGrid/systemTopics/{systemTopicName}/eventSubscriptions/{name}",
        "eventSubscriptionName",
    ),
    "operationalinsights:Workspace": (_GROUP + "OperationalInsights/workspaces/{name}", "workspaceName"),
    "monitor:DiagnosticSetting": ("{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}", "name"),
    "consumption:Budget": ("{scope}/providers/Microsoft.Consumption/budgets/{name}", "budgetName"),
    "applicationinsights:Component": (_GROUP + "Insights/components/{name}", "resourceName"),
    "network:VirtualNetwork": (_NETWORK + "virtualNetworks/{name}", "virtualNetworkName"),
    "network:Subnet": (_NETWORK + "virtualNetworks/{virtualNetworkName}/subnets/{name}", "subnetName"),
    "network:NetworkSecurityGroup": (_NETWORK + "networkSecurityGroups/{name}", "networkSecurityGroupName"),
    "network:NatGateway": (_NETWORK + "natGateways/{name}", "natGatewayName"),
    "network:PublicIPAddress": (_NETWORK + "publicIPAddresses/{name}", "publicIpAddressName"),
    "network:PrivateEndpoint": (_NETWORK + "privateEndpoints/{name}", "privateEndpointName"),
    "network:PrivateDnsZoneGroup": (
        _NETWORK + "privateEndpoints/{privateEndpointName}/privateDnsZoneGroups/{name}",
        "privateDnsZoneGroupName",
    ),
    "privatedns:PrivateZone": (_NETWORK + "privateDnsZones/{name}", "privateZoneName"),
    "privatedns:VirtualNetworkLink": (
        _NETWORK + "privateDnsZones/{privateZoneName}/virtualNetworkLinks/{name}",
        "virtualNetworkLinkName",
    ),
}

# kind -> what Azure takes as its name
NAMES = {
    "resources:ResourceGroup": r"[\w.()-]{0,89}[\w()-]",
    "storage:StorageAccount": r"[a-z0-9]{3,24}",
    "storage:BlobContainer": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "storage:Queue": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "batch:BatchAccount": r"[a-z0-9]{3,24}",
    "batch:Pool": r"[A-Za-z0-9_-]{1,64}",
    "containerregistry:Registry": r"[a-zA-Z0-9]{5,50}",
    "managedidentity:UserAssignedIdentity": r"[a-zA-Z0-9][\w-]{2,127}",
    "eventgrid:SystemTopic": r"[a-zA-Z0-9-]{3,50}",
    "eventgrid:SystemTopicEventSubscription": r"[a-zA-Z0-9-]{3,64}",
    "operationalinsights:Workspace": r"[a-zA-Z0-9]([a-zA-Z0-9-]{2,61})[a-zA-Z0-9]",
    "applicationinsights:Component": r"[^%&\\?/]{1,259}[^%&\\?/. ]",
    "consumption:Budget": r"[\w-]{1,63}",
    "monitor:DiagnosticSetting": r"[^*<>%:&?+/\\ ]{1,260}",
    "network:VirtualNetwork": r"[a-zA-Z0-9][\w.-]{0,62}\w",
    "network:Subnet": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "network:NetworkSecurityGroup": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "network:NatGateway": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "network:PublicIPAddress": r"[a-zA-Z0-9][\w.-]{0,78}\w",
    "network:PrivateEndpoint": r"[a-zA-Z0-9][\w.-]{0,62}\w",
    "privatedns:VirtualNetworkLink": r"[a-zA-Z0-9][\w.-]{0,78}\w",
}
SUFFIX = 8
"""The letters that azure-native adds to the name of what is given none."""


class UnknownTypeError(LookupError):
    """The program made a resource that this table does not know."""


def template_of(token: str) -> tuple[str, str]:
    """The template of a type's ARM id, and the input that names the resource."""
    known = TYPES.get(token.removeprefix("azure-native:"))
    if known is None:
        raise UnknownTypeError(f"{token} is not in azure_resources.py: add its ARM id there")
    return known


def answer(token: str, name: str, inputs: Mapping[str, Any], location: str) -> tuple[str, dict[str, Any]]:
    """The ARM id and the outputs of a resource that was just made; ``name`` is for what the inputs do not name."""
    template, naming = template_of(token)
    given = {key: value for key, value in inputs.items() if isinstance(value, str)}
    named = str(inputs.get(naming) or name)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{given.get('resourceGroupName', '')}"
    arm_id = template.format(**{**given, "subscription": SUBSCRIPTION, "group": group, "name": named})
    outputs = {**inputs, "name": named, **_computed(token, named, arm_id, location)}
    outputs.setdefault("location", location)
    if isinstance(inputs.get("identity"), Mapping):
        outputs["identity"] = _identity(inputs["identity"], arm_id)
    return arm_id, outputs


def _guid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _computed(token: str, name: str, arm_id: str, location: str) -> dict[str, Any]:
    match token.rsplit(":", 1)[-1]:
        case "UserAssignedIdentity":
            return {"principalId": _guid(arm_id), "clientId": _guid(f"client {arm_id}"), "tenantId": TENANT}
        case "StorageAccount":
            return {"primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"}}
        case "Registry":
            return {"loginServer": f"{name}.azurecr.io"}
        case "BatchAccount":
            return {"accountEndpoint": f"{name}.{location}.batch.azure.com"}
    return {}


def _identity(given: Mapping[str, Any], arm_id: str) -> dict[str, Any]:
    """An identity comes as a list of ids and goes as a map."""
    identity = {key: value for key, value in given.items() if key != "userAssignedIdentities"}
    if "SystemAssigned" in str(identity.get("type")):
        identity |= {"principalId": _guid(arm_id), "tenantId": TENANT}
    users = given.get("userAssignedIdentities")
    if isinstance(users, list):
        identity["userAssignedIdentities"] = {
            one: {"principalId": _guid(one), "clientId": _guid(f"client {one}")} for one in users
        }
    return identity
