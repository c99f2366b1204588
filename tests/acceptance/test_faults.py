"""The main job against an emulator that misbehaves: every image has one record, and nothing is lost or doubled."""

import http.client
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread
from batchimg.batch import Batch

from pictures import noise

IMAGES = 12
SPOT = "spot"
ADD_JOB, ADD_TASKS, PATCH_JOB = "POST /jobs", "POST /jobs/{jobId}/addtaskcollection", "PATCH /jobs/{jobId}"

FAULTS = {
    "busy while the job is made": {"kind": "http-error", "status": 503, "count": 3, "match": {"operation": ADD_JOB}},
    "busy while tasks are added": {"kind": "http-error", "status": 429, "retryAfter": 0, "count": 3},
    "a job that is made and answered with 500": {"kind": "applied-then-500", "match": {"operation": ADD_JOB}},
    "tasks that are added and answered with 500": {"kind": "applied-then-500", "match": {"operation": ADD_TASKS}},
    "a patch that is applied and answered with 500": {"kind": "applied-then-500", "match": {"operation": PATCH_JOB}},
    "a connection cut before tasks are added": {"kind": "cut-connection", "match": {"operation": ADD_TASKS}},
    "a connection cut after tasks are added": {
        "kind": "cut-connection",
        "where": "after",
        "match": {"operation": ADD_TASKS},
    },
    "a connection cut after the job is made": {
        "kind": "cut-connection",
        "where": "after",
        "match": {"operation": ADD_JOB},
    },
    "tasks in the casing of the documentation": {"kind": "task-status-casing", "casing": "pascal", "count": None},
    "a node that is lost in the middle": {"kind": "lose-node", "at": "task-start", "delay": 0.7},
    "a node that is preempted in the middle": {"kind": "preempt-node", "at": "task-start", "delay": 0.7},
    "a node that becomes unusable in the middle": {"kind": "unusable-node", "at": "task-start", "delay": 0.7},
    "a task that is delivered twice at once": {"kind": "duplicate-delivery"},
    "a task that is delivered again at its end": {"kind": "duplicate-delivery", "overlap": False},
    "counts that are stale": {"kind": "stale-counts", "seconds": 5, "count": None},
}


@dataclass
class Rehearsal:
    """An emulator with a door for faults, in front of the real blob storage of the stack."""

    url: str
    account: str
    key: str
    faults: str
    token: str
    environment: dict[str, str]

    def fault(self, method: str, path: str, body: dict | None = None) -> dict:
        connection = http.client.HTTPConnection(self.faults.removeprefix("http://"), timeout=10)
        connection.request(method, path, json.dumps(body) if body else None, {"authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status < 300, text
        return json.loads(text) if text else {}


@pytest.fixture(scope="module")
def rehearsal(batchimg):
    stack = batchimg.stack()["stack"]
    programs = str(Path(sys.executable).parent)
    node = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"],
        "BATCHIMG_STORAGE_KEY": stack["storage_key"],
    }
    with running_in_thread(Settings(node_environment=node, node_delay=0.01), Wishes(faults_port=0)) as server:
        credentials = server.emulator.credentials
        url = server.emulator.account.url
        batch = Batch(url, credentials.account, credentials.key)
        batch.create_local_pool("batchimg", 2, 1)
        batch.close()
        make_spot_pool(url, credentials.account, credentials.key)
        environment = {
            "BATCHIMG_BATCH_ENDPOINT": url,
            "BATCHIMG_BATCH_ACCOUNT": credentials.account,
            "BATCHIMG_BATCH_KEY": credentials.key,
            "BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"],
            "BATCHIMG_STORAGE_KEY": stack["storage_key"],
        }
        yield Rehearsal(url, credentials.account, credentials.key, server.faults_url, server.faults_token, environment)


def make_spot_pool(url: str, account: str, key: str) -> None:
    from azure.batch import BatchClient, models
    from azure.core.credentials import AzureNamedKeyCredential

    image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
    machine = models.VirtualMachineConfiguration(image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04")
    pool = models.BatchPoolCreateOptions(
        id=SPOT, vm_size="standard_d2s_v5", virtual_machine_configuration=machine, target_low_priority_nodes=2
    )
    with BatchClient(url, AzureNamedKeyCredential(account, key)) as client:
        client.create_pool(pool)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_ends_well_in_spite_of(batchimg, rehearsal, tmp_path, fault):
    folder = noise(tmp_path / f"fault-{list(FAULTS).index(fault)}", IMAGES, side=64)
    set_ = rehearsal.fault("POST", "/faults", FAULTS[fault])
    try:
        done = batchimg(
            *("submit", "--dataset", folder, "--op", "rotate=20", "--chunk-images", 4, "--wait", "--json"),
            **rehearsal.environment,
            BATCHIMG_POOL=SPOT if "preempt" in fault else "batchimg",
        )
        assert rehearsal.fault("GET", f"/faults/{set_['id']}")["fired"] >= 1
    finally:
        rehearsal.fault("DELETE", f"/faults/{set_['id']}")
    status = json.loads(done.stdout.strip().splitlines()[-1])
    assert (status["done"], status["failed"], status["lost"]) == (IMAGES, 0, 0)
    batchimg("download", status["run"], "--to", tmp_path / "out", **rehearsal.environment)
    records = [json.loads(line)["path"] for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(records) == sorted(file.name for file in folder.iterdir())
    assert len(list((tmp_path / "out" / "rotate-20").iterdir())) == IMAGES
