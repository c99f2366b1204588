"""The whole graph of every stack: safe, as Microsoft's schemas want it, and a change of it is seen by a reviewer."""

import dataclasses
import importlib.util
import json
import os
import re
from pathlib import Path

import pytest
from every_input import FREE, free, unheld
from pulumi_azure_native import applicationinsights

from batchimg.settings import Settings
from batchimg_worker.version import __version__

from arm import OTHER_VERSIONS, SCHEMAS, TYPES, WITHOUT_SCHEMA, problems
from findings import CHECKS
from programs import STACKS, graph_of
from recording import PROGRAM, configuration, flat, snapshot

GRAPHS = Path(__file__).parent / "graphs"

with_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="no ../shared/arm-schemas beside this clone")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_graph_is_the_one_that_was_reviewed(stack):
    file = GRAPHS / f"{stack}.json"
    text = json.dumps(snapshot(graph_of(stack)), indent=1, sort_keys=True) + "\n"
    if os.environ.get("BATCHIMG_WRITE_GRAPHS"):
        file.write_text(text)
    assert text == file.read_text(), "look at the difference, then `make graphs`"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_safe(stack, check):
    assert list(check(graph_of(stack))) == []


def test_every_input_is_held_by_a_check_or_free_for_a_reason():
    """A property that is changed or left out is found: what the checks hold is not only what somebody thought of."""
    quiet = [one for stack in ("all-options", "prod", "dev") for one in unheld(graph_of(stack))]
    assert [one for one in quiet if free(one[1], one[2]) is None] == []
    assert set(FREE) == {free(kind, path) for _, kind, path in quiet}


def test_outputs_are_settings_of_batchimg():
    outputs = graph_of("dev").outputs
    about = {"worker_bundle", "worker_version", "resource_group"}
    assert set(outputs) - about <= set(Settings.model_fields)
    assert {"batch_endpoint", "storage_endpoint", "pool", "node_identity", "worker_command"} <= set(outputs)


def test_the_stacks_run_the_version_of_this_tree():
    assert graph_of("dev").outputs["worker_version"] == __version__


def test_storage_is_protected_where_it_is_asked_for():
    protected = {name: graph_of(name).one("storage:StorageAccount").options.protect for name in ("dev", "prod")}
    assert protected == {"dev": False, "prod": True}


ASKED_FOR = {
    "worker": ("container", {"containerregistry:Registry"}),
    "network": ("vnet", {
        "network:VirtualNetwork", "network:Subnet", "network:NetworkSecurityGroup", "network:PrivateEndpoint",
        "network:PrivateDnsZoneGroup", "privatedns:PrivateZone", "privatedns:VirtualNetworkLink",
    }),
    "nat_gateway": ("true", {"network:NatGateway", "network:PublicIPAddress"}),
    "observability": ("true", {"operationalinsights:Workspace", "monitor:DiagnosticSetting"}),
    "application_insights": ("true", {"applicationinsights:Component"}),
    "events": ("true", {"eventgrid:SystemTopic", "eventgrid:SystemTopicEventSubscription"}),
    "budget": (None, {"consumption:Budget"}),
}  # fmt: skip
"""Setting -> the value that asks for it (None: any but 0), what it makes; the rest is always made."""


@pytest.mark.parametrize("stack", STACKS)
def test_options_make_what_they_name_and_nothing_where_they_are_off(stack):
    file, config = STACKS[stack]
    given = {**configuration(PROGRAM, file), **flat(config)}
    asked = {
        name
        for name, (on, _) in ASKED_FOR.items()
        if (given[f"batchimg:{name}"] != "0" if on is None else given[f"batchimg:{name}"] == on)
    }
    kinds = {one.kind for one in graph_of(stack).made}
    for name, (_, makes) in ASKED_FOR.items():
        assert kinds & makes == (makes if name in asked else set()), name


MONTHLY = {
    "containerregistry:Registry": 5.0,
    "network:PrivateEndpoint": 7.3,
    "network:NatGateway": 32.9,
    "network:PublicIPAddress": 3.65,
    "privatedns:PrivateZone": 0.5,
}
"""What costs money while nothing runs -> USD a month, list prices; the rest is free, or paid by use."""
BY_USE = {
    "resources:ResourceGroup", "managedidentity:UserAssignedIdentity", "authorization:RoleAssignment",
    "storage:StorageAccount", "storage:BlobServiceProperties", "storage:BlobContainer", "storage:ManagementPolicy",
    "storage:Queue", "batch:BatchAccount", "batch:Pool", "network:VirtualNetwork", "network:Subnet",
    "network:NetworkSecurityGroup", "network:PrivateDnsZoneGroup", "privatedns:VirtualNetworkLink",
    "eventgrid:SystemTopic", "eventgrid:SystemTopicEventSubscription", "operationalinsights:Workspace",
    "monitor:DiagnosticSetting", "applicationinsights:Component", "consumption:Budget",
}  # fmt: skip


def idle_cost(stack):
    kinds = [one.kind for one in graph_of(stack).made if one.custom]
    assert {kind for kind in kinds if kind not in MONTHLY} <= BY_USE
    return sum(MONTHLY.get(kind, 0) for kind in kinds)


def test_an_idle_stack_costs_what_the_pages_say():
    assert idle_cost("dev") == 0
    said = f"about {idle_cost('prod'):.0f} USD a month"
    for page in ("README.md", "docs/operations.md"):
        assert said in (PROGRAM.parent / page).read_text(), f"{page} does not say {said}"


@with_schemas
@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_valid(stack):
    known = [one for one in graph_of(stack).made if one.kind in TYPES]
    assert len(known) > 15
    assert [line for one in known for line in problems(one)] == []


@with_schemas
@pytest.mark.parametrize("stack", STACKS)
def test_batch_is_valid_in_the_next_api_version_too(stack):
    graph = graph_of(stack)
    assert problems(graph.one("batch:BatchAccount"), "2025-06-01") == []
    assert problems(graph.one("batch:Pool"), "2025-06-01") == []


@with_schemas
@pytest.mark.parametrize("stack", STACKS)
def test_storage_and_identities_are_valid_in_later_api_versions_too(stack):
    graph = graph_of(stack)
    assert [line for one in graph.of("storage:StorageAccount") for line in problems(one, "2026-04-01")] == []
    identities = graph.of("managedidentity:UserAssignedIdentity")
    assert [line for one in identities for line in problems(one, "2024-11-30")] == []


def test_a_kind_without_a_schema_has_a_reason():
    kinds = {one.kind for name in STACKS for one in graph_of(name).made if one.custom}
    assert kinds <= set(TYPES) | set(WITHOUT_SCHEMA)


@pytest.mark.parametrize("kind", TYPES)
def test_schemas_are_those_of_the_api_version_that_is_sent(kind):
    module, name = kind.split(":")
    sdk = Path(importlib.util.find_spec("pulumi_azure_native").origin).parent / module
    file = sdk / f"{re.sub('(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()}.py"
    sent = set(re.findall(r"Uses Azure REST API version (\d{4}-\d\d-\d\d(?:-preview)?)", file.read_text()))
    assert sent == {OTHER_VERSIONS.get(kind, TYPES[kind][2])}


SENT_WITHOUT_SCHEMA = {
    "resources:ResourceGroup": {"tags": dict},
    "privatedns:PrivateZone": {
        "privateZoneName": {
            "privatelink.blob.core.windows.net", "privatelink.queue.core.windows.net", "privatelink.batch.azure.com",
        },
        "location": {"global"}, "resourceGroupName": str, "tags": dict,
    },
    "privatedns:VirtualNetworkLink": {
        "privateZoneName": str, "location": {"global"}, "registrationEnabled": {False}, "resourceGroupName": str,
        "virtualNetwork": dict, "tags": dict,
    },
    "applicationinsights:Component": {
        "applicationType": {one.value for one in applicationinsights.ApplicationType}, "kind": {"other"},
        "ingestionMode": {one.value for one in applicationinsights.IngestionMode}, "disableLocalAuth": {True},
        "flowType": {one.value for one in applicationinsights.FlowType},  # this and the next two are the SDK's own
        "requestSource": {one.value for one in applicationinsights.RequestSource},
        **{key: {"Enabled"} for key in ("publicNetworkAccessForIngestion", "publicNetworkAccessForQuery")},
        "workspaceResourceId": str, "resourceGroupName": str, "tags": dict,
    },
}  # fmt: skip
"""What may be sent of the kinds that no schema is at hand for: a type, or the values that there are."""


@pytest.mark.parametrize("stack", STACKS)
def test_what_has_no_schema_is_little_and_known(stack):
    assert set(SENT_WITHOUT_SCHEMA) == set(WITHOUT_SCHEMA)
    for one in (one for one in graph_of(stack).made if one.kind in WITHOUT_SCHEMA):
        known = SENT_WITHOUT_SCHEMA[one.kind]
        assert set(one.inputs) <= set(known), one.name
        for name, value in one.inputs.items():
            right = isinstance(value, known[name]) if isinstance(known[name], type) else value in known[name]
            assert right, f"{one.name}: {name} is {value!r}"


@with_schemas
@pytest.mark.parametrize(
    ("kind", "change", "api"),
    [
        ("storage:StorageAccount", {"alowSharedKeyAccess": False}, None),
        ("storage:StorageAccount", {"minimumTlsVersion": "TLS9"}, None),
        ("batch:Pool", {"taskSlotsPerNode": "many"}, None),
        ("batch:Pool", {"interNodeCommunication": "Maybe"}, None),
        ("batch:Pool", {"targetNodeCommunicationMode": "Simplified"}, "2025-06-01"),
        ("batch:BatchAccount", {"allowedAuthenticationModes": ["Everybody"]}, None),
        ("authorization:RoleAssignment", {"principalType": "Cat"}, None),
        ("storage:BlobContainer", {"publicAccess": "Somewhat"}, None),
    ],
)
def test_what_azure_would_refuse_is_found(kind, change, api):
    made = graph_of("dev").of(kind)[0]
    changed = dataclasses.replace(made, inputs={**made.inputs, **change})
    assert any(next(iter(change)) in line for line in problems(changed, api))
