"""What the real service was recorded to answer, held against ours; read from beside the repository, if there."""

import json
import re
from pathlib import Path

import pytest
from azure.batch import models

RECORDINGS = Path(__file__).parents[3] / "shared" / "azure-batch" / "batch-service-recordings.json"
pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the repository")
OLD = "api-version=2022-01-01.15.0"
GONE = {"certificateReferences", "endpointConfiguration", "outputFiles", "startTask"}
"""Fields that 2025-06-01 no longer has, or that these tests do not set up."""


@pytest.fixture(scope="module")
def recorded():
    exchanges = json.loads(RECORDINGS.read_text())

    def find(method, path, position=0):
        matches = [
            exchange
            for exchange in exchanges
            if exchange["method"] == method and re.search(f"{path}\\?", exchange["uri"])
        ]
        return matches[position]

    return find


def fixed(value):
    """The parts of an entity that do not change from run to run."""
    if isinstance(value, dict):
        return {name: fixed(entry) for name, entry in value.items() if name not in GONE}
    if isinstance(value, list):
        return [fixed(entry) for entry in value]
    if isinstance(value, str) and re.search(r"https?://|\d{4}-\d\d-\d\dT|^0x|^(TVM:)?tvmps_|^10\.", value):
        return "..."
    return value


def test_a_pool_is_shown_as_it_was_recorded(account, bench, recorded):
    request = recorded("POST", "/pools")["request_body"]
    theirs = recorded("GET", "/pools/[^/]+")["response_body"]
    pool_id = bench.new_id("pool")
    answer = account.send("POST", "/pools", request | {"id": pool_id}, query=OLD)
    assert answer.status == 201
    ours = account.send("GET", f"/pools/{pool_id}", query=OLD).body
    account.send("DELETE", f"/pools/{pool_id}")
    assert fixed(ours) | {"id": theirs["id"]} == fixed(theirs)
    assert list(ours)[:3] == list(theirs)[:3]


def test_a_job_is_shown_as_it_was_recorded(account, bench, recorded):
    theirs = recorded("GET", "/jobs/ncj-ubuntu1604")["response_body"]
    job_id = bench.job(theirs["poolInfo"]["poolId"])
    ours = account.send("GET", f"/jobs/{job_id}", query=OLD).body
    assert fixed(ours) | {"id": theirs["id"]} == fixed(theirs)


def test_a_completed_task_is_shown_as_it_was_recorded(account, bench, recorded):
    theirs = fixed(recorded("GET", "/jobs/ncj-ubuntu1604/tasks/myTask")["response_body"])
    job_id = bench.job(bench.pool())
    limits = models.BatchTaskConstraints(retention_time="PT1H")
    bench.run(job_id, "myTask", '/bin/bash -c "echo test"', constraints=limits)
    ours = fixed(account.send("GET", f"/jobs/{job_id}/tasks/myTask", query=OLD).body)
    for node in (ours["nodeInfo"], theirs["nodeInfo"]):
        node["poolId"] = node["taskRootDirectory"] = "..."
    assert ours == theirs


def test_an_idle_node_is_shown_as_it_was_recorded(account, bench, recorded):
    theirs = recorded("GET", "/pools/[^/]+/nodes", 1)["response_body"]["value"][0]
    ours = account.send("GET", f"/pools/{bench.pool()}/nodes", query=OLD).body["value"][0]
    assert theirs.keys() - GONE <= ours.keys()
    for name in ("state", "schedulingState", "isDedicated", "totalTasksRun", "runningTaskSlotsCount"):
        assert ours[name] == theirs[name]


def test_the_results_of_added_tasks_are_shown_as_recorded(account, bench, recorded):
    theirs = recorded("POST", "/jobs/ncj-ubuntu1604/addtaskcollection")["response_body"]
    body = {"value": [{"id": "myTask", "commandLine": "x"}]}
    ours = account.send("POST", f"/jobs/{bench.job()}/addtaskcollection", body, query=OLD).body
    assert fixed(ours["value"]) == fixed(theirs["value"])
    assert ours["odata.metadata"].split("/")[-1] == theirs["odata.metadata"].split("/")[-1]


def test_an_error_is_shown_as_recorded(account, bench, recorded):
    theirs = next(
        recorded("POST", "/pools", place) for place in range(3) if recorded("POST", "/pools", place)["status"] == 409
    )
    pool_id = bench.pool(nodes=0)
    answer = account.send("POST", "/pools", theirs["request_body"] | {"id": pool_id}, query=OLD)
    ours = answer.body
    assert (answer.status, ours["code"]) == (409, theirs["response_body"]["code"])
    first_line = theirs["response_body"]["message"]["value"].split("\n")[0]
    assert ours["message"]["value"].startswith(f"{first_line}\nRequestId:")
    assert ours.keys() == theirs["response_body"].keys()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/jobs"), ("POST", "/pools"), ("GET", "/pools/[^/]+"), ("DELETE", "/jobs/[^/]+")]
)
def test_headers_are_those_that_were_recorded(account, bench, recorded, method, path):
    theirs = recorded(method, path)
    job_id, pool_id = bench.job(), bench.pool(nodes=0)
    ours = {
        ("POST", "/jobs"): lambda: account.send(
            "POST", "/jobs", {"id": bench.new_id("x"), "poolInfo": {"poolId": "p"}}
        ),
        ("POST", "/pools"): lambda: account.send("POST", "/pools", theirs["request_body"] | {"id": bench.new_id("x")}),
        ("GET", "/pools/[^/]+"): lambda: account.send("GET", f"/pools/{pool_id}"),
        ("DELETE", "/jobs/[^/]+"): lambda: account.send("DELETE", f"/jobs/{job_id}"),
    }[method, path]()
    assert ours.status == theirs["status"]
    transport = {"strict-transport-security", "x-content-type-options", "transfer-encoding"}
    assert theirs["response_headers"].keys() - transport <= ours.headers.keys()
    for name in ("dataserviceid", "location"):
        if name in ours.headers:
            assert ours.headers[name].startswith(account.endpoint)
