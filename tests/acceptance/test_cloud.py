"""configure and doctor against real services: the stack's Azurite, and an emulator that misbehaves."""

import json
import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError

from batch_emulator.account import Settings as EmulatorSettings
from batch_emulator.server import running_in_thread
from batchimg.batch import Batch
from batchimg.batch_errors import translated
from batchimg.batch_pool import Support
from batchimg.connect import Services
from batchimg.doctor import examine
from batchimg.errors import ServiceError
from batchimg.management import AccountFacts, Management
from batchimg.order import Order
from batchimg.recipes import read_instructions
from batchimg.settings import Settings
from batchimg_worker.storage import BlobStore
from batchimg_worker.version import __version__

from made_images import noise

STORAGE = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/one"
ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/one"


@dataclass
class Store:
    """Storage that says that it lies at another place."""

    real: BlobStore
    endpoint: str

    def container(self, name):
        return self.real.container(name)


@dataclass
class Account:
    """An emulator without pools and the stack's storage, and how to reach them."""

    services: Services
    client: object
    blob: str

    def pool(self, **more):
        from azure.batch import models

        options = {
            "id": "batchimg",
            "vmSize": "standard_d4ads_v5",
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
                "nodeAgentSKUId": "batch.node.ubuntu 24.04",
            },
            "metadata": [{"name": "worker_version", "value": __version__}],
            **more,
        }
        self.client.create_pool(models.BatchPoolCreateOptions(options))

    def findings(self, management=None, now=None):
        return list(examine(self.services, management, now))

    def findings_at(self, storage, management):
        """What is found where the storage that is used lies at another host."""
        store = Store(self.services.store, f"https://{storage}")
        return list(examine(replace(self.services, store=store), management))

    def problems(self, **more):
        return [one.message for one in self.findings(**more) if one.level == "problem"]


@pytest.fixture
def account(batchimg):
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    stack = batchimg.stack()["stack"]
    node = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with running_in_thread(EmulatorSettings(node_environment=node, node_delay=0.01)) as server:
        credentials = server.emulator.credentials
        url = server.emulator.account.url
        client = BatchClient(url, AzureNamedKeyCredential(credentials.account, credentials.key))
        services = Services(
            batch=Batch(url, credentials.account, credentials.key),
            store=BlobStore(stack["blob_endpoint"], stack["storage_key"]),
            settings=Settings(batch_endpoint=url, storage_endpoint=stack["blob_endpoint"]),
            is_local=False,
        )
        yield Account(services, client, stack["blob_endpoint"])
        client.close()
        services.batch.close()
        services.store.close()


class Subscription(Management):
    """Azure Resource Manager with answers of its own; `may` grants what `granted` holds a piece of."""

    def __init__(self, facts, granted=("",), shut=None):
        super().__init__(ACCOUNT, lambda: "token")
        self.facts, self.granted, self.shut = facts, granted, shut

    def account(self):
        if self.facts is None:
            raise ServiceError("cannot read the account: HTTP 403", code="403")
        return self.facts

    def may(self, resource_id, action):
        assert action.startswith("Microsoft.")
        if self.shut and self.shut in resource_id:
            raise ServiceError(f"cannot read {resource_id}: HTTP 403", code="403")
        return any(piece in resource_id for piece in self.granted)


def test_a_good_account_has_no_problem(account):
    account.pool()
    assert account.problems() == []


def test_a_pool_that_is_missing_is_a_problem(account):
    assert ["no pool" in message for message in account.problems()] == [True]


def test_a_worker_of_another_version_is_a_problem(account):
    account.pool(metadata=[{"name": "worker_version", "value": "99.0.0"}])
    assert any("99.0.0" in message for message in account.problems())


def test_a_bundle_that_is_missing_is_a_problem_until_it_is_sent(account):
    url = f"{account.blob}/runs/nobody/worker.tar"
    account.pool(startTask={"commandLine": "true", "resourceFiles": [{"httpUrl": url, "filePath": "worker.tar"}]})
    assert any("no node can start" in message for message in account.problems())
    account.services.store.container("runs").write("nobody/worker.tar", b"x")
    assert account.problems() == []
    account.services.store.container("runs").delete("nobody/worker.tar")


def test_a_pool_whose_formula_fails_is_a_problem_that_says_why(account):
    account.pool(enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes = 1 / 0;")
    from command_line import until

    until(lambda: any("autoscale" in message for message in account.problems()), "the formula is evaluated")


def test_a_pool_that_is_being_deleted_is_a_problem(account):
    account.pool(targetDedicatedNodes=1)
    account.client.begin_delete_pool("batchimg")
    assert any(word in message for message in account.problems() for word in ("deleting", "no pool"))


@pytest.mark.parametrize("name", ["a/b", "x" * 65, "one two", "é", "."])
def test_a_pool_that_cannot_be_is_a_problem_and_not_the_end(account, name):
    account.services = replace(account.services, settings=account.services.settings.model_copy(update={"pool": name}))
    (problem,) = [one for one in account.findings() if one.level == "problem"]
    assert problem.fix


@pytest.mark.parametrize(("path", "key"), [("x", None), ("", "d3Jvbmc=")], ids=["another account", "another key"])
def test_storage_that_refuses_is_told_once_with_its_address_and_what_to_do(account, batchimg, path, key):
    account.pool()
    store = BlobStore(account.blob + path, key or batchimg.stack()["stack"]["storage_key"])
    found = list(examine(replace(account.services, store=store), None))
    store.close()
    (problem,) = [one for one in found if one.level == "problem"]
    assert problem.message.startswith(f"{account.blob}{path}: ")
    assert problem.fix


def test_a_pool_that_is_resizing_is_no_problem(account):
    account.pool(targetDedicatedNodes=3)
    assert account.problems() == []


def test_a_start_task_that_fails_leaves_nodes_that_are_a_problem(account):
    account.pool(targetDedicatedNodes=1, startTask={"commandLine": "false", "waitForSuccess": True})
    from command_line import until

    until(lambda: any("do not work" in message for message in account.problems()), "a node that does not work")


def test_a_pool_that_keeps_its_nodes_is_a_warning_and_one_with_a_formula_is_not(account):
    def warnings():
        return [one.message for one in account.findings() if one.level == "warning" and "does not scale" in one.message]

    account.pool(enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes = 2;")
    assert warnings() == []
    account.client.begin_delete_pool("batchimg").wait()
    account.pool(targetDedicatedNodes=2)
    assert warnings() == ["pool 'batchimg' does not scale by itself: 2 nodes cost money while nothing runs"]


def test_an_image_is_a_problem_after_its_end_and_a_warning_before(account):
    account.pool()
    image = account.services.batch.pool("batchimg").image
    ends = account.services.batch.image_support(image).ends
    if ends is None:
        ends = datetime(2029, 5, 1, tzinfo=UTC)
        account.services.batch.image_support = lambda _: Support(ends)
    levels = {
        days: next(one.level for one in account.findings(now=ends + timedelta(days=days)) if one.check == "image")
        for days in (-400, -30, 30)
    }
    assert levels == {-400: "good", -30: "warning", 30: "problem"}


@pytest.mark.parametrize(("quota", "level"), [(8, "good"), (7, "warning"), (3, "problem"), (0, "problem")])
def test_a_quota_below_the_pools_maximum_is_a_warning(account, quota, level):
    account.pool(
        targetDedicatedNodes=0, enableAutoScale=True, autoScaleFormula="maxSpot = 2;\n$TargetDedicatedNodes = 0;"
    )
    found = account.findings(management=Subscription(AccountFacts(0, quota, None)))
    assert [one.level for one in found if one.check == "quota"] == [level]


def test_roles_that_are_missing_are_problems_that_name_the_role(account):
    account.pool()
    only_inputs = Subscription(AccountFacts(100, 100, STORAGE), granted=("containers/inputs", "batchAccounts"))
    found = [one for one in account.findings_at("one.blob.core.windows.net", only_inputs) if one.check == "roles"]
    assert [one.level for one in found] == ["good", "good", "problem", "problem"]
    assert all("Storage Blob Data Contributor" in one.fix for one in found if one.level == "problem")


def test_a_role_that_cannot_be_looked_at_is_unknown_and_the_others_are_told(account):
    account.pool()
    found = account.findings_at("one.blob.core.windows.net", Subscription(AccountFacts(9, 9, STORAGE), shut="outputs"))
    assert [one.level for one in found if one.check == "roles"] == ["good", "good", "unknown", "good"]


def test_roles_on_storage_that_is_not_the_accounts_are_unknown(account):
    account.pool()
    for storage in (STORAGE, None):
        found = account.findings_at("other.blob.core.windows.net", Subscription(AccountFacts(9, 9, storage)))
        assert [one.level for one in found if one.check == "roles"] == ["unknown", "good"]


def test_the_id_of_another_account_is_a_problem_and_its_quotas_are_not_told(account):
    account.pool(targetDedicatedNodes=1)
    other = Subscription(AccountFacts(9, 9, STORAGE, host="other.westeurope.batch.azure.com"))
    found = account.findings(management=other)
    assert [one.message for one in found if one.level == "problem" and "batch_account_id" in one.message]
    assert not [one for one in found if one.check in {"quota", "roles"}]


@pytest.mark.parametrize(("cores", "level"), [(8, "good"), (4, "warning"), (0, "problem")])
def test_a_quota_of_the_sizes_family_counts_where_it_is_less(account, cores, level):
    account.pool(enableAutoScale=True, autoScaleFormula="maxDedicated = 2;\n$TargetDedicatedNodes = 0;")
    facts = AccountFacts(100, 100, None, family_cores={"standarddadsv5family": cores, "standardddsv5family": 0})
    assert [one.level for one in account.findings(management=Subscription(facts)) if one.check == "quota"] == [level]


def test_an_image_that_azure_batch_does_not_list_is_a_warning(account):
    account.pool()
    account.services.batch.image_support = lambda _: None
    assert [one.level for one in account.findings() if one.check == "image"] == ["warning"]


def test_an_identity_without_a_token_is_told_to_sign_in():
    def refuse(*_, **__):
        raise ClientAuthenticationError("no credential gave a token")

    with pytest.raises(ServiceError) as caught, translated("look at the pool"):
        refuse()
    assert (caught.value.code, "az login" in caught.value.hint) == ("AuthenticationFailed", True)


def test_a_subscription_that_may_not_be_read_is_unknown_and_not_the_end(account):
    account.pool()
    found = account.findings(management=Subscription(None))
    assert found[-1].level == "unknown"


def test_a_service_that_does_not_answer_is_a_problem_and_not_the_end(batchimg, tmp_path):
    stack = batchimg.stack()["stack"]
    outputs = tmp_path / "outputs.json"
    endpoints = {"batch_endpoint": "http://127.0.0.1:9", "storage_endpoint": stack["blob_endpoint"]}
    outputs.write_text(json.dumps(endpoints))
    keys = {"BATCHIMG_BATCH_KEY": "a2V5", "BATCHIMG_STORAGE_KEY": stack["storage_key"]}
    batchimg("configure", "--outputs", outputs, cwd=tmp_path)
    done = batchimg("doctor", "--json", cwd=tmp_path, expect=1, **keys)
    found = json.loads(done.stdout)
    assert [(one["check"], bool(one["fix"])) for one in found if one["level"] == "problem"] == [("batch", True)]
    assert sum(one["check"] == "storage" and one["level"] == "good" for one in found) == 3


def test_an_account_that_was_there_is_configured_by_its_names(batchimg, tmp_path):
    flags = ("--batch-endpoint", "https://one.westeurope.batch.azure.com", "--storage-account", "one", "--pool", "mine")
    batchimg("configure", *flags, cwd=tmp_path)
    text = (tmp_path / "batchimg.toml").read_text()
    assert 'storage_endpoint = "https://one.blob.core.windows.net"' in text
    assert 'pool = "mine"' in text


def test_the_doctor_of_the_local_stack_finds_it_well(batchimg):
    done = batchimg("doctor", "--json")
    assert {one["level"] for one in json.loads(done.stdout)} <= {"good", "unknown"}


def test_tasks_are_told_which_identity_to_use_and_which_image_to_run_in(account, tmp_path):
    account.pool(targetDedicatedNodes=0)
    settings = account.services.settings.model_copy(
        update={"node_identity": "6f1c4f7e-0000", "worker_image": "one.azurecr.io/batchimg-worker:0.1.0"}
    )
    services = replace(account.services, settings=settings)
    order = Order.of(settings, str(noise(tmp_path / "images", 2, side=16)), read_instructions("augment", (), ()))
    run = order.place(services).spec.run
    environment = {one.name: one.value for one in account.client.get_job(run).common_environment_settings}
    assert environment == {"BATCHIMG_STORAGE_ENDPOINT": account.blob, "AZURE_CLIENT_ID": "6f1c4f7e-0000"}
    container = account.client.get_task(run, "0").container_settings
    assert (container.image_name, container.container_run_options) == ("one.azurecr.io/batchimg-worker:0.1.0", "--rm")


def test_without_an_image_or_an_identity_tasks_are_told_of_neither(account, tmp_path):
    account.pool(targetDedicatedNodes=0)
    order = Order.of(
        account.services.settings, str(noise(tmp_path / "pictures", 1, side=16)), read_instructions("augment", (), ())
    )
    run = order.place(account.services).spec.run
    names = {one.name for one in account.client.get_job(run).common_environment_settings}
    assert names == {"BATCHIMG_STORAGE_ENDPOINT"}
    assert account.client.get_task(run, "0").container_settings is None


def test_the_doctor_without_an_account_or_a_stack_answers_in_json(batchimg, tmp_path):
    done = batchimg("doctor", "--json", cwd=tmp_path, BATCHIMG_HOME=str(tmp_path / "home"))
    assert [(one["check"], one["level"]) for one in json.loads(done.stdout)] == [("settings", "unknown")]
