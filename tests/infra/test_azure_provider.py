"""The local provider of the rehearsal behaves as Azure does where somebody interrupts the engine."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import rehearse

import azure_provider
import azure_refusals
from azure_twins import Twins
from programs import graph_of
from recording import PROGRAM

GROUP = "/subscriptions/1/resourceGroups/g"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/one"
CONTAINER = f"{ACCOUNT}/blobServices/default/containers/runs"
NOWHERE = Twins("http://127.0.0.1:9/one", "http://127.0.0.1:9/one", "a2V5", "http://127.0.0.1:9", "one", "a2V5")


class Recorded(Twins):
    """Twins that keep in a list what is asked of them."""

    def create(self, kind, inputs):
        self.asked.append(("create", kind, dict(inputs)))

    def delete(self, kind, inputs):
        self.asked.append(("delete", kind, dict(inputs)))

    @property
    def asked(self):
        return self.__dict__.setdefault("_asked", [])


@pytest.fixture
def azure(tmp_path, monkeypatch):
    monkeypatch.setattr(azure_provider, "STATE", tmp_path / "azure.json")
    twins = tmp_path / "twins.json"
    twins.write_text(json.dumps(NOWHERE.__dict__))
    monkeypatch.setenv("AZURE_TWINS", str(twins))
    azure = azure_provider.Azure()
    azure.twins = Recorded(**NOWHERE.__dict__)
    for kind, arm_id in (
        ("resources:ResourceGroup", GROUP),
        ("storage:StorageAccount", ACCOUNT),
        ("storage:BlobContainer", CONTAINER),
    ):
        azure.put(kind, arm_id, {})
    return azure


def test_with_a_resource_group_goes_what_is_in_it_also_what_pulumi_forgot(azure):
    azure.remove("resources:ResourceGroup", GROUP)
    assert azure.read() == {}
    assert ("delete", "storage:BlobContainer", {}) in azure.twins.asked


def test_what_is_there_is_not_made_again_but_for_what_comes_with_an_account(azure):
    with pytest.raises(RuntimeError, match="already existing resource"):
        azure.put("storage:BlobContainer", CONTAINER, {})
    service = f"{ACCOUNT}/blobServices/default"
    for _ in range(2):
        azure.put("storage:BlobServiceProperties", service, {})


def test_what_no_schema_refuses_azure_does(azure):
    grant = {"scope": ACCOUNT, "principalId": "somebody", "roleDefinitionId": "reader"}
    role = f"{ACCOUNT}/providers/Microsoft.Authorization/roleAssignments"
    azure.put("authorization:RoleAssignment", f"{role}/1", grant)
    azure.put("authorization:RoleAssignment", f"{role}/2", {**grant, "principalId": "somebody else"})
    with pytest.raises(RuntimeError, match="RoleAssignmentExists"):
        azure.put("authorization:RoleAssignment", f"{role}/3", grant)
    budget = f"{GROUP}/providers/Microsoft.Consumption/budgets/b"
    azure.put("consumption:Budget", budget, {"timePeriod": {"startDate": "2026-01-01T00:00:00Z"}, "amount": 1})
    azure.change("consumption:Budget", budget, {"timePeriod": {"startDate": "2026-01-01T00:00:00Z"}, "amount": 2})
    with pytest.raises(RuntimeError, match="Start date"):
        azure.change("consumption:Budget", budget, {"timePeriod": {"startDate": "2026-02-01T00:00:00Z"}, "amount": 2})


@pytest.mark.parametrize("stack", ["prod", "all-options"])
def test_metrics_are_those_that_a_resource_has(stack):
    sent = [one.inputs for one in graph_of(stack).of("monitor:DiagnosticSetting")]
    assert [azure_refusals.of_metrics(one) for one in sent] == ["", ""]
    every = [{**one, "metrics": [{"category": word} for word in ("AllMetrics", "Transaction")]} for one in sent]
    assert all("is not supported" in azure_refusals.of_metrics(one) for one in every)


def test_the_provider_ends_with_an_engine_that_is_killed(tmp_path):
    twins = tmp_path / "twins.json"
    twins.write_text(json.dumps(NOWHERE.__dict__))
    provider = [sys.executable, str(PROGRAM.parent / "tools" / "infra" / "azure_provider.py"), "127.0.0.1:9"]
    engine = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; p = subprocess.Popen({provider!r}); print(p.pid, flush=True); p.wait()",
        ],
        env={**os.environ, "AZURE_TWINS": str(twins), "AZURE_TWIN_STATE": str(tmp_path / "azure.json")},
        stdout=subprocess.PIPE,
        text=True,
    )
    with engine:
        pid = int(engine.stdout.readline())
        assert int(engine.stdout.readline())  # the port on which it answers: it is up
        engine.send_signal(signal.SIGKILL)
    try:
        deadline = time.monotonic() + 30
        while runs(pid):
            assert time.monotonic() < deadline, "the provider is still there"
            time.sleep(0.05)
    finally:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_outlives_a_killed_engine_in_a_group_of_its_own_is_ended(tmp_path):
    script = "set -m; sleep 600 > /dev/null 2>&1 & echo $!; kill -9 $$"
    said, _, code = rehearse.finished(["bash", "-c", script], tmp_path, dict(os.environ), None)
    assert code == -signal.SIGKILL
    assert not runs(int(said))
