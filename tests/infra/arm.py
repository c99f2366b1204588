"""What the provider would send to Azure, held strictly against Microsoft's ARM JSON schemas."""

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from azure_resources import template_of
from recording import Made

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "arm-schemas"
EXPRESSION = "https://schema.management.azure.com/schemas/common/definitions.json"
EXPRESSION_SCHEMA = {"type": "string", "pattern": r"^\[([^\[].*)?\]$"}
NUMBER_SCHEMA = {"oneOf": [{"type": "number"}, {"$ref": "#/definitions/expression"}]}
LOCATION = "westeurope"  # the provider takes it from the configuration or from the resource group

BATCH = "2024-07-01"
NETWORK = ("Microsoft.Network.NRP", "2024-05-01")
# kind -> (schema file, its resource definition, api-version): what azure-native 3.29 sends
TYPES: dict[str, tuple[str, str, str]] = {
    "storage:StorageAccount": ("Microsoft.Storage", "storageAccounts", "2024-01-01"),
    "storage:BlobServiceProperties": ("Microsoft.Storage", "storageAccounts_blobServices", "2024-01-01"),
    "storage:BlobContainer": ("Microsoft.Storage", "storageAccounts_blobServices_containers", "2024-01-01"),
    "storage:ManagementPolicy": ("Microsoft.Storage", "storageAccounts_managementPolicies", "2024-01-01"),
    "storage:Queue": ("Microsoft.Storage", "storageAccounts_queueServices_queues", "2024-01-01"),
    "batch:BatchAccount": ("Microsoft.Batch", "batchAccounts", BATCH),
    "batch:Pool": ("Microsoft.Batch", "batchAccounts_pools", BATCH),
    "managedidentity:UserAssignedIdentity": (
        "Microsoft.ManagedIdentity",
        "userAssignedIdentities",
        "2023-01-31",
    ),
    "containerregistry:Registry": ("Microsoft.ContainerRegistry", "registries", "2025-11-01"),
    "eventgrid:SystemTopic": ("Microsoft.EventGrid", "systemTopics", "2025-02-15"),
    "eventgrid:SystemTopicEventSubscription": (
        "Microsoft.EventGrid",
        "systemTopics_eventSubscriptions",
        "2025-02-15",
    ),
    "operationalinsights:Workspace": ("Microsoft.OperationalInsights", "workspaces", "2023-09-01"),
    "consumption:Budget": ("Microsoft.Consumption", "budgets", "2024-08-01"),
    "authorization:RoleAssignment": ("Microsoft.Authorization", "roleAssignments", "2022-04-01"),
    "monitor:DiagnosticSetting": ("Microsoft.Insights", "diagnosticSettings", "2021-05-01-preview"),
    "network:VirtualNetwork": (NETWORK[0], "virtualNetworks", NETWORK[1]),
    "network:Subnet": (NETWORK[0], "virtualNetworks_subnets", NETWORK[1]),
    "network:NetworkSecurityGroup": (NETWORK[0], "networkSecurityGroups", NETWORK[1]),
    "network:NatGateway": (NETWORK[0], "natGateways", NETWORK[1]),
    "network:PublicIPAddress": (NETWORK[0], "publicIPAddresses", NETWORK[1]),
    "network:PrivateEndpoint": (NETWORK[0], "privateEndpoints", NETWORK[1]),
    "network:PrivateDnsZoneGroup": (NETWORK[0], "privateEndpoints_privateDnsZoneGroups", NETWORK[1]),
}
OTHER_VERSIONS = {"containerregistry:Registry": "2023-01-01-preview"}
"""Kinds of which azure-native sends another api-version than the folder has a schema of."""
WITHOUT_SCHEMA = {
    "resources:ResourceGroup": "its schema is one of deployments",
    "privatedns:PrivateZone": "no schema of 2024-06-01 in the folder",
    "privatedns:VirtualNetworkLink": "no schema of 2024-06-01 in the folder",
    "applicationinsights:Component": "no schema of 2020-02-02 in the folder",
}
"""Kinds that are not validated, each with its reason; `test_graph.py` says what they may hold."""

# Names that the SDK changes and the provider changes back.
_STORAGE_NAMES = {
    "enableHttpsTrafficOnly": "supportsHttpsTrafficOnly",
    "networkRuleSet": "networkAcls",
    "iPAddressOrRange": "value",
    "virtualNetworkResourceId": "id",
}


def problems(made: Made, api: str | None = None) -> list[str]:
    """What is wrong with a resource's body, one line each; ``api`` is another api-version to hold it against."""
    file, key, usual = TYPES[made.kind]
    validator = _validator(file, key, api or usual)
    found = {
        f"{made.name}: {'.'.join(map(str, leaf.absolute_path))}: {leaf.message[:160]}"
        for error in validator.iter_errors(body(made, api))
        for leaf in _leaves(error)
    }
    return sorted(found)


def _leaves(error: ValidationError) -> list[ValidationError]:
    """What is wrong at the bottom; of a choice between a value and a template expression, in the value's branch."""
    if not error.context:
        return [error]
    branches = [one for one in error.context if not _is_expression(one)]
    return [leaf for one in (branches or error.context) for leaf in _leaves(one)]


def _is_expression(error: ValidationError) -> bool:
    return error.schema == EXPRESSION_SCHEMA or (error.schema or {}).get("oneOf") == NUMBER_SCHEMA["oneOf"]


def body(made: Made, api: str | None = None) -> dict[str, Any]:
    """A resource as a template of Azure has it."""
    file, key, usual = TYPES[made.kind]
    api = api or usual
    template, naming = template_of(made.type)
    in_path = {naming, "resourceGroupName", "name", *re.findall(r"{(\w+)}", template)} - {"location"}
    top = _document(file, api)["resourceDefinitions"][key]
    given = _renamed(made.inputs) if made.kind.startswith("storage:") else made.inputs
    whole = {name: copy.deepcopy(value) for name, value in given.items() if name not in in_path}
    whole |= {
        "type": top["properties"]["type"]["enum"][0],
        "apiVersion": api,
        "name": _full_name(top, made.outputs["name"]),
    }
    if "location" in top.get("required", []):
        whole.setdefault("location", LOCATION)
    shaped = _shaped(whole, top, _document(file, api)["definitions"])
    if "properties" in top.get("required", []):
        shaped.setdefault("properties", {})
    identity = shaped.get("identity")
    if identity and isinstance(identity.get("userAssignedIdentities"), list):
        identity["userAssignedIdentities"] = {one: {} for one in identity["userAssignedIdentities"]}
    return shaped


def _full_name(schema: dict[str, Any], name: str) -> str:
    """A child that has one possible name is called with its parent's: `account/default`."""
    return f"parent/{name}" if "^.*/" in json.dumps(schema["properties"]["name"]) else name


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_STORAGE_NAMES.get(key, key): _renamed(inner) for key, inner in value.items()}
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value


def _shaped(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """As the provider sends it: whole numbers as such, and under `properties` what the SDK had lifted out of it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        items = next((one["items"] for one in (schema, *schema.get("oneOf", [])) if "items" in one), {})
        return [_shaped(one, items, definitions) for one in value]
    if not isinstance(value, dict):
        return value
    choices = _objects(schema, definitions)
    chosen = _chosen(value, choices)
    if chosen is None:
        return {key: _shaped(inner, _free(schema), definitions) for key, inner in value.items()}
    return _placed(value, chosen["properties"], definitions)


def _placed(value: dict[str, Any], known: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    below = _objects(known["properties"], definitions) if "properties" in known else []
    placed: dict[str, Any] = {}
    for key, inner in value.items():
        if key in known:
            placed[key] = _shaped(inner, known[key], definitions)
        elif below and key in below[0]["properties"]:
            placed.setdefault("properties", {})[key] = _shaped(inner, below[0]["properties"][key], definitions)
        else:
            placed[key] = _shaped(inner, {}, definitions)  # unknown: left for the validator to report
    return placed


def _objects(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The object schemas that a value may have: behind a reference, a choice, or variants told apart by a tag."""
    if "$ref" in schema:
        target = schema["$ref"]
        local = target.startswith("#/definitions/")
        return _objects(definitions[target.rsplit("/", 1)[-1]], definitions) if local else []
    found = [one for choice in schema.get("oneOf", []) for one in _objects(choice, definitions)]
    if schema.get("properties"):
        base = schema["properties"]
        return [{**schema, "properties": {**base, **one["properties"]}} for one in found] or [schema]
    return found


def _chosen(value: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any] | None:
    tag = value.get("endpointType") or value.get("operatorType")
    tagged = (one for one in choices if tag and f'"{tag}"' in json.dumps(one["properties"]))
    return next(tagged, choices[0] if choices else None)


def _free(schema: dict[str, Any]) -> dict[str, Any]:
    extra = (one.get("additionalProperties") for one in (schema, *schema.get("oneOf", [])))
    return next((one for one in extra if isinstance(one, dict)), {})


@functools.cache
def _document(file: str, api: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / api / f"{file}.json").read_text())


@functools.cache
def _validator(file: str, key: str, api: str) -> Draft4Validator:
    document = _document(file, api)
    schema = _strict({"definitions": document["definitions"], **document["resourceDefinitions"][key]})
    for name in ("location", "resources", "dependsOn", "comments", "scope"):
        schema["properties"].setdefault(name, {})
    common = {"definitions": {"expression": EXPRESSION_SCHEMA, "numberOrExpression": NUMBER_SCHEMA}}
    registry = Registry().with_resource(EXPRESSION, Resource.from_contents(common, default_specification=DRAFT4))
    return Draft4Validator(schema, registry=registry)


def _strict(node: Any) -> Any:
    """ARM's schemas take unknown members; here a misspelt one has to fail."""
    if isinstance(node, list):
        return [_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    strict = {key: _strict(value) for key, value in node.items()}
    for variant in strict.get("oneOf", []):  # a variant may have what all have
        if variant.get("properties"):
            variant["properties"] = {**{name: {} for name in strict.get("properties", ())}, **variant["properties"]}
    closed = strict.get("type") == "object" and strict.get("properties")
    if closed and not {"additionalProperties", "allOf", "oneOf"} & set(strict):
        strict["additionalProperties"] = False
    return strict
