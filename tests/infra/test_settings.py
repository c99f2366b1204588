"""A wrong setting is refused with its name and what is expected, before anything is made."""

# ruff: noqa: E501 - a table is read by its lines

import re

import pulumi
import pytest
import yaml

from programs import STACKS
from recording import PROGRAM, _Mocks, run

DECLARED = yaml.safe_load((PROGRAM / "Pulumi.yaml").read_text())["config"]


def refusal(monkeypatch, stack=None, **config):
    """What the program says to a configuration, having made nothing."""
    made = []
    monkeypatch.setattr(_Mocks, "new_resource", lambda _, args: made.append(args.name) or ("", {}))
    with pytest.raises(pulumi.RunError) as caught:
        run(stack, config)
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
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(monkeypatch, name, value):
    assert name in refusal(monkeypatch, **{name: value})


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
