"""What clients of older api-versions are told, and what they may say."""

import json
from pathlib import Path

import pytest

OPENAPI = Path(__file__).parents[3] / "shared" / "azure-batch" / "BatchService-2024-07-01.20.0.json"
V15, V16, V19, V20, CURRENT = (
    f"api-version={version}"
    for version in ("2022-01-01.15.0", "2022-10-01.16.0", "2024-02-01.19.0", "2024-07-01.20.0", "2025-06-01")
)
VM = {"imageReference": {"publisher": "p", "offer": "o", "sku": "s"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}


@pytest.fixture
def pool(account, bench):
    """Makes an empty pool with a request of a version; `pool(version, fields)` gives its path."""
    made = []

    def make(query=CURRENT, **fields):
        pool_id = f"{bench.new_id('pool')}-{len(made)}"
        body = {"id": pool_id, "vmSize": "standard_d2_v3", "virtualMachineConfiguration": VM} | fields
        answer = account.send("POST", "/pools", body, query=query)
        assert answer.status == 201, answer.body
        made.append(f"/pools/{pool_id}")
        return made[-1]

    yield make
    for path in made:
        account.send("DELETE", path)


def test_a_field_is_told_from_the_version_on_that_has_it(account, pool):
    path = pool(upgradePolicy={"mode": "manual"}, networkConfiguration={"enableAcceleratedNetworking": True})
    shown = {query: account.send("GET", path, query=query).body for query in (V15, V16, V19, V20, CURRENT)}
    assert [query for query, body in shown.items() if "upgradePolicy" in body] == [V19, V20, CURRENT]
    accelerated = [query for query, body in shown.items() if body.get("networkConfiguration")]
    assert accelerated == [V19, V20, CURRENT]
    modes = [query for query, body in shown.items() if "targetNodeCommunicationMode" in body]
    assert modes == [V16, V19, V20]


def test_the_communication_mode_is_given_back_to_those_who_know_it(account, pool):
    path = pool(V20, targetNodeCommunicationMode="Classic")
    told = account.send("GET", path, query=V20).body
    assert (told["targetNodeCommunicationMode"], told["currentNodeCommunicationMode"]) == ("classic", "classic")
    query = f"{V20}&%24select=id,targetNodeCommunicationMode"
    assert account.send("GET", path, query=query).body.keys() == {"odata.metadata", "id", "targetNodeCommunicationMode"}
    refused = account.send("GET", path, query=f"{CURRENT}&%24select=targetNodeCommunicationMode")
    assert (refused.status, refused.code) == (400, "InvalidQueryParameterValue")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (V15, {"upgradePolicy": {"mode": "manual"}}),
        (V15, {"targetNodeCommunicationMode": "classic"}),
        (V19, {"virtualMachineConfiguration": VM | {"imageReference": {"communityGalleryImageId": "/x"}}}),
        (CURRENT, {"targetNodeCommunicationMode": "classic"}),
        (CURRENT, {"certificateReferences": []}),
    ],
)
def test_a_field_that_a_version_does_not_have_is_refused(account, bench, query, fields):
    body = {"id": bench.new_id("x"), "vmSize": "s", "virtualMachineConfiguration": VM} | fields
    answer = account.send("POST", "/pools", body, query=query)
    assert (answer.status, answer.code) == (400, "InvalidRequestBody")
    assert "does not exist" in answer.body["values"][0]["value"]


def test_a_disk_is_told_as_its_version_writes_it(account, pool):
    old = [{"lun": 0, "diskSizeGB": 32, "storageAccountType": "premium_lrs"}]
    path = pool(V20, virtualMachineConfiguration=VM | {"dataDisks": old})
    assert account.send("GET", path, query=V20).body["virtualMachineConfiguration"]["dataDisks"] == old
    new = [{"lun": 0, "diskSizeGB": 32, "managedDisk": {"storageAccountType": "premium_lrs"}}]
    assert account.send("GET", path).body["virtualMachineConfiguration"]["dataDisks"] == new


def test_a_node_in_a_state_that_a_version_does_not_know_is_offline_to_it(account, bench, until):
    path = f"/pools/{bench.pool(nodes=1)}"
    (node,) = account.send("GET", f"{path}/nodes").body["value"]
    node_path = f"{path}/nodes/{node['id']}"
    assert account.send("POST", f"{node_path}/deallocate", {}).status == 202
    until(lambda: account.send("GET", node_path).body["state"] == "deallocated")
    old = account.send("GET", node_path, query=V15).body
    assert old["state"] == "offline"
    assert old["certificateReferences"] == []
    assert "ipv6Address" not in old
    query = f"%24filter=poolId%20eq%20%27{path.rpartition('/')[2]}%27"
    for version, state in ((V15, "offline"), (CURRENT, "deallocated")):
        (counts,) = account.send("GET", "/nodecounts", query=f"{version}&{query}").body["value"]
        assert counts["dedicated"][state] == 1
        assert counts["dedicated"]["total"] == 1
        assert ("deallocated" in counts["dedicated"]) == (version == CURRENT)


@pytest.mark.skipif(not OPENAPI.exists(), reason="the OpenAPI is not beside the repository")
def test_answers_to_2024_07_01_have_only_what_its_openapi_has(account, bench, pool):
    definitions = json.loads(OPENAPI.read_text())["definitions"]

    def unknown(value, node):
        if isinstance(value, list):
            return [name for entry in value for name in unknown(entry, node.get("items", {}))]
        node = definitions[node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if not isinstance(value, dict) or "properties" not in node:
            return []
        known = {name: entry for name, entry in value.items() if not name.startswith("odata.")}
        found = sorted(known.keys() - node["properties"].keys())
        for name in known.keys() & node["properties"].keys():
            found += unknown(known[name], node["properties"][name])
        return found

    made = bench.pool(nodes=1)
    job_id = bench.job(made)
    bench.run(job_id, "a", "/bin/true")
    disks = [{"lun": 0, "diskSizeGB": 32, "managedDisk": {"storageAccountType": "premium_lrs"}}]
    rich = pool(virtualMachineConfiguration=VM | {"dataDisks": disks}, taskSchedulingPolicy={"nodeFillType": "pack"})
    lists = {
        "CloudPool": "/pools",
        "ComputeNode": f"/pools/{made}/nodes",
        "CloudJob": "/jobs",
        "CloudTask": f"/jobs/{job_id}/tasks",
        "PoolNodeCounts": "/nodecounts",
        "ImageInformation": "/supportedimages",
    }
    for model, path in lists.items():
        found = account.send("GET", path, query=V20).body["value"]
        assert found
        assert unknown(found, {"items": definitions[model]}) == [], model
    assert unknown(account.send("GET", rich, query=V20).body, definitions["CloudPool"]) == []
