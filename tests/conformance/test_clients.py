"""What living clients put on the wire, byte by byte."""

import base64
import hashlib
import http.client
import json
import re
from email.utils import formatdate

import pytest
from azure.batch import models

from batch_emulator.auth import sign, strings_to_sign
from batch_emulator.routes import ROUTES
from batch_emulator.versions import API_VERSIONS
from batch_emulator.wire import Request

OLD = "api-version=2024-07-01.20.0"
LISTS = [route for route in ROUTES if "maxresults" in route.query]


@pytest.fixture
def sent(account):
    """Sends a request byte by byte, without a signature of its own, and gives the status."""

    def send(method, target, fields, content):
        host, _, port = account.endpoint.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in fields.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(content)
            return connection.getresponse().status
        finally:
            connection.close()

    return send


@pytest.fixture
def put_job(account, bench):
    """Create a job with raw fields, and give it as it is shown."""

    def put(**fields):
        job_id = bench.new_id("raw")
        bench._jobs.append(job_id)
        answer = account.send("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "none"}} | fields)
        assert answer.status == 201, answer.content
        return account.send("GET", f"/jobs/{job_id}").body

    return put


def test_azure_cli_sends_numbers_and_flags_as_text(put_job):
    job = put_job(priority="7", maxParallelTasks="-1", usesTaskDependencies="true")
    assert (job["priority"], job["maxParallelTasks"], job["usesTaskDependencies"]) == (7, -1, True)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("PT03M00S", "PT3M"),
        ("PT1M", "PT1M"),
        ("P1DT2H", "P1DT2H"),
        ("P10675199DT2H48M5.4775807S", "P10675199DT2H48M5.4775807S"),
    ],
)
def test_durations_come_in_many_forms(put_job, sent, shown):
    assert put_job(constraints={"maxWallClockTime": sent})["constraints"]["maxWallClockTime"] == shown


def test_null_counts_as_absent(put_job):
    assert put_job(displayName=None, constraints=None)["priority"] == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; odata=minimalmetadata",
        "application/json;odata=minimalmetadata;charset=utf-8",
    ],
)
def test_any_json_content_type_is_read(account, bench, content_type):
    body = {"id": bench.new_id("raw"), "poolInfo": {"poolId": "none"}}
    assert account.send("POST", "/jobs", body, headers={"content-type": content_type}).status == 201
    account.send("DELETE", f"/jobs/{body['id']}")


def test_a_created_job_is_located_at_its_first_run(account, bench):
    body = {"id": bench.new_id("raw"), "poolInfo": {"poolId": "none"}}
    answer = account.send("POST", "/jobs", body)
    assert answer.headers["location"].endswith("/jobs/job-1")
    assert answer.headers["dataserviceid"].endswith("/jobs/job-1")
    assert answer.content == b""
    account.send("DELETE", f"/jobs/{body['id']}")


def test_a_post_without_a_body_signs_a_length_of_zero(account, bench):
    job_id = bench.job()
    answer = account.send("POST", f"/jobs/{job_id}/enable", headers={"content-length": "0"})
    assert (answer.status, answer.content) == (202, b"")


def test_the_raw_path_is_signed_and_files_say_what_recordings_say(account, bench):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "t", "/bin/sh -c 'echo abc > \"a b+c.txt\"'")
    files = f"/jobs/{job_id}/tasks/t/files"
    for path in ("wd/a%20b%2Bc.txt", "wd%2Fa%20b+c.txt", "wd/a%20b+c%2Etxt"):
        answer = account.send("GET", f"{files}/{path}")
        assert (answer.status, answer.content) == (200, b"abc\n")
    head = account.send("HEAD", f"{files}/wd/a%20b+c.txt")
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == "4"
    assert head.headers["ocp-batch-file-isdirectory"] == "False"
    assert re.fullmatch(r"0o\d+", head.headers["ocp-batch-file-mode"])
    listed = account.send("GET", files, query="api-version=2025-06-01&recursive=true").body["value"]
    found = next(entry for entry in listed if entry["name"].endswith("c.txt"))
    assert found["properties"]["contentLength"] == "4"
    assert found["isDirectory"] is False


def test_etags_come_unquoted_and_go_back_quoted(account, bench):
    path = f"/jobs/{bench.job()}"
    tag = account.send("GET", path).headers["etag"]
    assert re.fullmatch("0x[0-9A-F]+", tag)
    for sent in (tag, f'"{tag}"', f'W/"{tag}"', "*"):
        assert account.send("GET", path, headers={"if-match": sent}).status == 200
    refused = account.send("PATCH", path, {"priority": 1}, headers={"if-match": '"0x1"'})
    assert (refused.status, refused.code) == (412, "ConditionNotMet")


@pytest.mark.parametrize("kind", ["pools", "jobs", "tasks"])
def test_conditions_hold_for_every_kind_of_resource(account, bench, kind):
    job_id = bench.job()
    bench.task(job_id, "t", "x")
    paths = {"pools": lambda: f"/pools/{bench.pool(nodes=0)}", "jobs": lambda: f"/jobs/{job_id}"}
    path = paths.get(kind, lambda: f"/jobs/{job_id}/tasks/t")()
    head = account.send("GET", path).headers
    ours, past, future = head["last-modified"], "Mon, 01 Jan 2024 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for name, value, status in (
        ("if-none-match", head["etag"], 304),
        ("if-none-match", "0x1", 200),
        ("if-modified-since", ours, 304),
        ("if-modified-since", past, 200),
        ("if-unmodified-since", ours, 200),
        ("if-unmodified-since", past, 412),
        ("if-unmodified-since", future, 200),
        ("if-unmodified-since", "yesterday", 400),
    ):
        assert account.send("GET", path, headers={name: value}).status == status, (name, value)


def test_a_head_request_tells_whether_a_pool_exists(account, bench):
    pool_id = bench.pool(nodes=0)
    found = account.send("HEAD", f"/pools/{pool_id}")
    assert (found.status, found.content) == (200, b"")
    assert "etag" in found.headers
    assert account.send("HEAD", "/pools/no-such-pool").status == 404


def test_a_body_that_is_not_the_digested_one_is_refused(account, bench):
    path, body = f"/jobs/{bench.job()}", json.dumps({"priority": 3}).encode()
    right, wrong = (base64.b64encode(hashlib.md5(text).digest()).decode() for text in (body, b"other"))
    assert account.send("PATCH", path, body, headers={"content-md5": right}).status == 200
    tampered = account.send("PATCH", path, body, headers={"content-md5": wrong})
    assert (tampered.status, tampered.code) == (403, "AuthenticationFailed")


def test_a_body_of_another_length_than_was_signed_is_refused(account, bench, sent):
    path, query = f"/jobs/{bench.job()}", "api-version=2025-06-01"
    fields = {"ocp-date": formatdate(usegmt=True), "content-type": "application/json", "content-length": "14"}
    text = next(strings_to_sign(Request("PATCH", path, query, fields, b""), account.name))
    fields["authorization"] = f"SharedKey {account.name}:{sign(base64.b64decode(account.key), text)}"
    assert sent("PATCH", f"{path}?{query}", fields, b'{"priority": 3}'[:14]) == 400  # not JSON, but let in
    assert sent("PATCH", f"{path}?{query}", fields, b'{"priority":3}') == 200
    # As on Azure the signature covers the length alone: without Content-MD5 a body as long takes its place.
    assert sent("PATCH", f"{path}?{query}", fields, b'{"priority":9}') == 200
    assert sent("PATCH", f"{path}?{query}", fields | {"content-length": "15"}, b'{"priority":30}') == 403
    chunked = {name: value for name, value in fields.items() if name != "content-length"}
    for head in (chunked, fields):  # a length in the head beside the chunks says nothing of them
        longer = head | {"transfer-encoding": "chunked"}
        assert sent("PATCH", f"{path}?{query}", longer, b'f\r\n{"priority":30}\r\n0\r\n\r\n') == 403
    assert account.send("GET", path).body["priority"] == 9


def test_a_body_cannot_be_added_to_a_request_that_was_signed_without_one(account, bench, sent):
    path, query = f"/jobs/{bench.job()}/terminate", "api-version=2025-06-01"
    fields = {"ocp-date": formatdate(usegmt=True)}
    text = next(strings_to_sign(Request("POST", path, query, fields, b""), account.name))
    fields["authorization"] = f"SharedKey {account.name}:{sign(base64.b64decode(account.key), text)}"
    added = b'18\r\n{"terminateReason":"me"}\r\n0\r\n\r\n'
    assert sent("POST", f"{path}?{query}", fields | {"transfer-encoding": "chunked"}, added) == 403
    assert sent("POST", f"{path}?{query}", fields | {"content-length": "0"}, b"") == 202


def test_a_delete_may_sign_no_length_at_all_as_javascript_does(account, bench, sent):
    path, query = f"/jobs/{bench.job()}", "api-version=2025-06-01"
    fields = {"ocp-date": formatdate(usegmt=True)}
    usual = next(strings_to_sign(Request("DELETE", path, query, fields, b""), account.name))
    text = usual.replace("\n0\n", "\n\n", 1)
    assert text != usual
    fields["authorization"] = f"SharedKey {account.name}:{sign(base64.b64decode(account.key), text)}"
    assert sent("DELETE", f"{path}?{query}", fields, b"") == 202


def test_headers_are_spelled_as_azure_spells_them(account, bench):
    """The client for Java reads them into fields, by the letter."""
    job_id = bench.job(bench.pool())
    bench.run(job_id, "t", "/bin/true")
    head = account.send("HEAD", f"/jobs/{job_id}/tasks/t/files/stdout.txt")
    assert {
        "Content-Length", "Content-Type", "DataServiceVersion", "ETag", "Last-Modified", "Server",
        "ocp-batch-file-isdirectory", "ocp-batch-file-mode", "ocp-batch-file-url", "ocp-creation-time", "request-id",
    } <= set(head.spelled)  # fmt: skip
    patched = account.send("PATCH", f"/jobs/{job_id}", {"priority": 1})
    assert {"DataServiceId", "ETag"} <= set(patched.spelled)


def test_bearer_without_tls_is_refused(account):
    answer = account.send("GET", "/pools", headers={"authorization": "Bearer a.b.c"})
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationInfo")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "--oauth" in answer.body["values"][0]["value"]


@pytest.mark.parametrize("name", ["timeOut", "timeout"])
def test_timeouts_are_whole_seconds(account, name):
    for value, status in (("30", 200), ("soon", 400), ("-1", 400)):
        assert account.send("GET", "/jobs", query=f"api-version=2025-06-01&{name}={value}").status == status


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.template)
def test_every_list_keeps_to_the_rules_of_lists(account, bench, route):
    pool_id = bench.pool(nodes=1)
    job_id = bench.job(pool_id, job_preparation_task=models.BatchJobPreparationTask(command_line="/bin/true"))
    bench.run(job_id, "t", "/bin/true")
    schedule = {"id": bench.new_id("raw"), "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "none"}}}
    assert account.send("POST", "/jobschedules", schedule).status == 201
    node_id = account.send("GET", f"/pools/{pool_id}/nodes").body["value"][0]["id"]
    names = {"poolId": pool_id, "nodeId": node_id, "jobId": job_id, "taskId": "t", "jobScheduleId": schedule["id"]}
    path = re.sub(r"\{(\w+)\}", lambda match: names[match[1]], route.template)
    query = "api-version=2025-06-01"
    assert account.send("GET", path, query=query).status == 200
    assert len(account.send("GET", path, query=f"{query}&maxresults=1").body["value"]) <= 1
    for bad in ("maxresults=0", "maxresults=1001", "maxresults=x", "%24skiptoken=x", "%24orderby=id"):
        assert account.send("GET", path, query=f"{query}&{bad}").status == 400, bad
    for name in sorted({"$filter", "$select", "$expand"} & route.query):
        refused = account.send("GET", path, query=f"{query}&%24{name[1:]}=no%20such%20thing")
        assert (refused.status, refused.code) == (400, "InvalidQueryParameterValue"), name
    account.send("DELETE", f"/jobschedules/{schedule['id']}")


@pytest.mark.parametrize("version", API_VERSIONS)
def test_every_version_does_a_days_work(account, bench, version):
    query = f"api-version={version}"
    pool_id, job_id = bench.new_id("raw"), bench.new_id("rawjob")
    bench._pools.append(pool_id)
    bench._jobs.append(job_id)
    image = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}
    pool = {"id": pool_id, "vmSize": "s", "virtualMachineConfiguration": image, "targetDedicatedNodes": 1}
    assert account.send("POST", "/pools", pool, query=query).status == 201
    assert account.send("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": pool_id}}, query=query).status == 201
    task = {"id": "t", "commandLine": "/bin/true"}
    assert account.send("POST", f"/jobs/{job_id}/tasks", task, query=query).status == 201
    bench.completed(job_id, "t")
    counts = account.send("GET", f"/jobs/{job_id}/taskcounts", query=query).body
    assert counts["taskCounts"]["succeeded"] == 1


def test_what_older_versions_say_differently_is_understood(account, bench):
    image = {
        "imageReference": {"offer": "o"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        "dataDisks": [{"lun": 0, "diskSizeGB": 8, "storageAccountType": "premium_lrs"}],
    }
    pool = {"vmSize": "s", "virtualMachineConfiguration": image, "targetNodeCommunicationMode": "simplified"}
    pool |= {"certificateReferences": [], "resourceTags": {}}
    pool_id = bench.new_id("raw")
    bench._pools.append(pool_id)
    assert account.send("POST", "/pools", pool | {"id": pool_id}, query=OLD).status == 201
    (disk,) = account.send("GET", f"/pools/{pool_id}").body["virtualMachineConfiguration"]["dataDisks"]
    assert disk["managedDisk"]["storageAccountType"] == "premium_lrs"
    refused = account.send("POST", "/pools", pool | {"id": "x"})
    assert (refused.status, refused.code) == (400, "InvalidRequestBody")
    for name, value in (
        ("certificateReferences", [{"thumbprint": "a"}]),
        ("resourceTags", {"a": "b"}),
        ("cloudServiceConfiguration", {"osFamily": "6"}),
        ("applicationLicenses", ["maya"]),
    ):
        refused = account.send("POST", "/pools", pool | {"id": "x", name: value}, query=OLD)
        assert (refused.status, refused.code) == (400, "UnsupportedProperty")
    refused = account.send("POST", "/pools", pool | {"id": "x", "targetNodeCommunicationMode": "loud"}, query=OLD)
    assert (refused.status, refused.code) == (400, "InvalidPropertyValue")


def test_a_task_with_a_token_for_batch_is_refused_and_without_understood(account, bench):
    path = f"/jobs/{bench.job()}/tasks"
    task = {"id": "a", "commandLine": "x", "authenticationTokenSettings": {"access": []}}
    assert account.send("POST", path, task, query=OLD).status == 201
    refused = account.send("POST", path, task | {"authenticationTokenSettings": {"access": ["job"]}}, query=OLD)
    assert (refused.status, refused.code) == (400, "UnsupportedProperty")
