"""A wrong setting is refused with its name and what is expected, before anything is made."""

# ruff: noqa: E501 - a table is read by its lines

import re
import runpy

import findings_of_changes
import pulumi
import pytest
import yaml

from azure_resources import DEPLOYER
from programs import ALL_OPTIONS, STACKS
from recording import PROGRAM, _Mocks, run

DECLARED = yaml.safe_load((PROGRAM / "Pulumi.yaml").read_text())["config"]


def refusal(monkeypatch, stack=None, named=None, **config):
    """What the program says to a configuration, having made nothing."""
    made = []
    monkeypatch.setattr(_Mocks, "new_resource", lambda _, args: made.append(args.name) or ("", {}))
    with pytest.raises(pulumi.RunError) as caught:
        run(stack, config, named=named)
    assert made == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "Batch_Img"), ("name", "ab"), ("name", ""), ("worker", "zip"), ("worker_version", "latest"),
        ("vm_size", "Standard_D4s_v3"), ("vm_size", "Standard_DS2_v2"), ("vm_size", "Standard_D2"), ("vm_size", "Standard_D4pds_v5"),
        ("vm_size", "Standard_D4as_v5"), ("max_spot_nodes", -1), ("max_spot_nodes", "many"), ("max_dedicated_nodes", 5000),
        ("submitters", "me@example.org"), ("submitter_type", "Robot"), ("network", "private"), ("nat_gateway", "yes"),
        ("allowed_ips", "10.0.0.0/8"), ("allowed_ips", "example.org"), ("runs_days", 0), ("outputs_days", -1),
        ("soft_delete_days", 0), ("soft_delete_days", 366), ("redundancy", "LRS"), ("budget", "a lot"), ("budget_emails", "nobody"),
        ("budget", -5), ("budget", 1.5), ("budget", True), ("budget_emails", "a@@b.org"), ("events", None), ("events", "True"),
        ("max_spot_nodes", "٣"), ("max_spot_nodes", 2.0), ("max_spot_nodes", [1]), ("worker_version", "١.2.3"), ("worker_version", "1.2.3/../x"),
        ("worker_version", "1.2.3" + "a" * 99), ("vm_size", "Standard_D0ads_v5"), ("vm_size", "Standard_D3ads_v5"), ("vm_size", "Standard_E4-8ads_v5"), ("vm_size", "Standard_E5-4ads_v5"),
        ("vm_size", "Standard_D٤ads_v5"), ("vm_size", "Standard_D4ads_v55"), ("vm_size", "Standard_F4ads_v5"), ("vm_size", "Standard_NC4as_T4_v3"),
        ("allowed_ips", "0.0.0.0"), ("allowed_ips", "169.254.169.254"), ("allowed_ips", "100.64.0.1"), ("allowed_ips", "224.0.0.1"),
        ("allowed_ips", "203.0.113.0/31"), ("allowed_ips", "198.51.100.7/24"), ("allowed_ips", "2001:db8::/32"), ("allowed_ips", "198.51.100.7 198.51.100.8"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(monkeypatch, name, value):
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_spot_nodes": 0, "max_dedicated_nodes": 0}, "no task would ever run"),
        ({"budget": 100}, "budget_emails"),
        ({"application_insights": True}, "observability"),
        ({"nat_gateway": True}, "vnet"),
        ({"network": "vnet", "worker": "container"}, "nat_gateway"),
        ({"batch_public_access": False}, "vnet"),
        ({"allowed_ips": "198.51.100.7"}, "vnet"),
    ],
)
def test_what_is_wrong_only_together_is_refused(monkeypatch, config, said):
    assert said in refusal(monkeypatch, **config)


SOMEBODY = "6f1c4f7e-5f0e-4d1e-9a39-3f8f3a9d7b11"
EVERYTHING = {
    "name": "pictures", "worker": "container", "worker_version": "7.8.9", "vm_size": "Standard_E16ads_v6",
    "max_spot_nodes": 21, "max_dedicated_nodes": 22, "submitters": f"{SOMEBODY}, {SOMEBODY.upper()}",
    "submitter_type": "Group", "network": "vnet", "nat_gateway": True, "allowed_ips": "198.51.100.0/24, 203.0.113.9",
    "runs_days": 31, "outputs_days": 32, "soft_delete_days": 33, "redundancy": "Standard_GRS", "protect_storage": True,
    "observability": True, "application_insights": True, "budget": 34, "budget_emails": "a@example.org, b@example.org",
    "events": True,
}  # fmt: skip


def test_settings_reach_what_they_are_for():
    graph = run(None, EVERYTHING)
    storage, pool = graph.one("storage:StorageAccount"), graph.one("batch:Pool").inputs
    assert storage.options.protect
    assert storage.inputs["sku"] == {"name": "Standard_GRS"}
    addresses = ["198.51.100.0/24", "203.0.113.9"]
    assert [one["iPAddressOrRange"] for one in storage.inputs["networkRuleSet"]["ipRules"]] == addresses
    access = graph.one("batch:BatchAccount").inputs["networkProfile"]["accountAccess"]
    assert [one["value"] for one in access["ipRules"]] == addresses
    blobs = graph.one("storage:BlobServiceProperties").inputs
    assert {blobs[name]["days"] for name in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy")} == {33}
    rules = {rule["name"]: rule for rule in graph.one("storage:ManagementPolicy").inputs["policy"]["rules"]}
    days = {name: set(re.findall(r"GreaterThan': (\d+)", str(rule))) for name, rule in rules.items()}
    assert days == {"runs-expire": {"31"}, "outputs-expire": {"32"}, "old-versions-expire": {"33"}}
    budget = graph.one("consumption:Budget").inputs
    assert (budget["amount"], budget["notifications"]["spent80"]["contactEmails"]) == (
        34,
        ["a@example.org", "b@example.org"],
    )
    people = [one for one in graph.of("authorization:RoleAssignment") if "submitter" in one.name]
    assert len({one.inputs["scope"] + one.inputs["roleDefinitionId"] for one in people}) == len(people)  # each once
    assert {(one.inputs["principalId"], one.inputs["principalType"]) for one in people} == {(SOMEBODY, "Group")}
    formula = pool["scaleSettings"]["autoScale"]["formula"]
    assert re.findall(r"^(?:slots|maxSpot|maxDedicated) = (\d+);", formula, re.MULTILINE) == ["16", "21", "22"]
    assert (pool["vmSize"], pool["taskSlotsPerNode"]) == ("Standard_E16ads_v6", 16)
    assert graph.outputs["worker_image"].endswith("/batchimg-worker:7.8.9")
    assert all(one.name.startswith("pictures") for one in graph.made)


@pytest.mark.parametrize("name", ["Dev", "my_stack", "dev.2", "-dev", "dev-", "a" * 16])
def test_a_stack_whose_name_azure_would_refuse_is_refused(monkeypatch, name):
    assert "pulumi stack rename" in refusal(monkeypatch, named=name)


def test_the_longest_names_are_such_as_azure_takes():
    graph = run(None, {**ALL_OPTIONS, "name": "x" * 11}, named="y" * 15)
    assert [line for check in findings_of_changes.CHECKS for line in check(graph)] == []


def roles_of(**config):
    """Name -> what is given to whom on what, of people."""
    given = [one for one in run(None, config).of("authorization:RoleAssignment") if "submitter" in one.name]
    return {one.name: (one.inputs["principalId"], one.inputs["roleDefinitionId"], one.inputs["scope"]) for one in given}


def test_who_goes_takes_nobody_elses_roles_along():
    """A role that is given under another name would be given twice for a moment, which Azure refuses."""
    both, one, deployer = roles_of(submitters=f"{DEPLOYER},{SOMEBODY}"), roles_of(submitters=SOMEBODY), roles_of()
    assert both == {**one, **deployer}
    assert len(both) == len(one) + len(deployer)


EDGES = {
    "max_spot_nodes": (0, 1000), "max_dedicated_nodes": (1000, 0), "runs_days": (1, 3650), "outputs_days": (0, 3650),
    "soft_delete_days": (1, 365), "vm_size": ("Standard_D2ads_v5", "Standard_E96-24ads_v5"), "name": ("abc", "n1234567890"),
    "worker_version": ("0.0.0", "999999.1.2rc1"), "redundancy": ("Standard_LRS", "Standard_ZRS"), "budget": (0, 10_000_000),
    "budget_emails": ("", "a@b.org"), "network": ("public", "vnet"), "allowed_ips": ("", "1.2.3.0/30"), "submitter_type": ("User", "ServicePrincipal"),
}  # fmt: skip


@pytest.mark.parametrize("edge", [0, 1])
def test_settings_at_their_edges_are_taken(edge):
    assert run(None, {name: values[edge] for name, values in EDGES.items()}).has("batch:Pool")


@pytest.mark.parametrize(
    ("size", "cores"),
    [*((f"Standard_D{n}ads_v5", n) for n in (2, 4, 8, 16, 32, 48, 64, 96)), ("Standard_F4ads_v6", 4), ("Standard_E20ds_v5", 20),
     ("Standard_D128ds_v6", 128), ("Standard_D192ds_v6", 192), ("Standard_E112iads_v5", 112), ("Standard_E104ids_v5", 104),
     ("Standard_F72ads_v6", 72), ("Standard_F80ads_v6", 80), ("Standard_E8-2ads_v5", 2), ("Standard_E160ads_v6", 160)],
)  # fmt: skip
def test_a_size_has_as_many_slots_as_it_shows_vcpus(size, cores):
    assert runpy.run_path(str(PROGRAM / "vm_sizes.py"))["vcpus"](size) == cores


def test_an_unknown_setting_is_refused_with_the_nearest_one(monkeypatch):
    assert refusal(monkeypatch, max_spot_node=3) == "unknown setting 'max_spot_node'; did you mean max_spot_nodes?"


def test_every_setting_has_a_default_and_one_line_of_help():
    for name, declared in DECLARED.items():
        if ":" not in name:
            assert "default" in declared, name
            assert re.fullmatch(r"[^\n]{10,120}", declared["description"]), name


@pytest.mark.parametrize("stack", [name for name, (file, _) in STACKS.items() if file])
def test_files_of_stacks_set_what_is_declared(stack):
    given = yaml.safe_load((PROGRAM / f"Pulumi.{stack}.yaml").read_text())["config"]
    assert {name.removeprefix("batchimg:") for name in given} <= set(DECLARED)
