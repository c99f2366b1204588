"""Faults, set over their own port, as the real SDK sees them."""

import http.client
import json
import time
from dataclasses import dataclass

import pytest
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceResponseError,
)

from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread

ADD_JOB, ADD_TASKS = "POST /jobs", "POST /jobs/{jobId}/addtaskcollection"


@dataclass
class Door:
    url: str
    token: str

    def ask(self, method, path="/faults", body=None, **headers):
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        try:
            content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
            sent = {"authorization": f"Bearer {self.token}"} | headers
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def set(self, kind, **fields):
        status, fault = self.ask("POST", body={"kind": kind} | fields)
        assert status == 201, fault
        return fault["id"]

    def fired(self, fault_id):
        return self.ask("GET", f"/faults/{fault_id}")[1]["fired"]


@pytest.fixture(scope="module")
def server():
    with running_in_thread(Settings(node_delay=0.01), Wishes(faults_port=0)) as server:
        yield server


@pytest.fixture(scope="module")
def account(server, account_of):
    return account_of(server)


@pytest.fixture
def faults(server):
    door = Door(server.faults_url, server.faults_token)
    yield door
    door.ask("DELETE")


@pytest.fixture
def patient(account):
    """A client that retries as the SDK does by itself, without its pauses."""
    credential = AzureNamedKeyCredential(account.name, account.key)
    with BatchClient(account.endpoint, credential, retry_backoff_factor=0) as client:
        yield client


def job_spec(job_id):
    return models.BatchJobCreateOptions(id=job_id, pool_info=models.BatchPoolInfo(pool_id="none"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_operation_fails_as_often_as_it_was_told_to(client, bench, faults, status):
    job_id = bench.job()
    fault = faults.set("http-error", status=status, retryAfter=7, count=2, match={"operation": "GET /jobs/{jobId}"})
    for _ in range(2):
        with pytest.raises(HttpResponseError) as caught:
            client.get_job(job_id)
        assert caught.value.status_code == status
        assert caught.value.response.headers["retry-after"] == "7"
    assert client.get_job(job_id).id == job_id
    shown = faults.ask("GET", f"/faults/{fault}")[1]
    assert (shown["fired"], shown["matched"], shown["exhausted"]) == (2, 2, True)
    assert shown["lastFired"]


def test_without_retry_after_there_is_no_such_header(bench, faults):
    faults.set("http-error", status=503)
    with pytest.raises(HttpResponseError) as caught:
        bench.job()
    assert "retry-after" not in caught.value.response.headers
    assert caught.value.error.code == "ServerBusy"


def test_the_sdk_gets_over_a_server_that_is_busy_for_a_moment(patient, bench, faults):
    job_id = bench.job()
    fault = faults.set("http-error", status=503, retryAfter=0, count=2)
    assert patient.get_job(job_id).id == job_id
    assert faults.fired(fault) == 2


def test_a_create_that_was_applied_and_answered_500_meets_its_own_retry(patient, client, bench, faults):
    fault = faults.set("applied-then-500", match={"operation": ADD_JOB})
    job_id = bench.new_id("job")
    with pytest.raises(ResourceExistsError) as caught:
        patient.create_job(job_spec(job_id))
    assert caught.value.error.code == "JobExists"
    assert faults.fired(fault) == 1
    assert client.get_job(job_id).state == "active"


def test_an_error_before_leaves_nothing_behind(client, bench, faults):
    faults.set("http-error", status=500, match={"operation": ADD_JOB})
    job_id = bench.new_id("job")
    with pytest.raises(HttpResponseError):
        client.create_job(job_spec(job_id))
    client.create_job(job_spec(job_id))


@pytest.mark.parametrize(("where", "applied"), [("before", False), ("after", True), ("after-headers", True)])
def test_a_connection_can_be_cut(client, patient, bench, faults, where, applied):
    job_id = bench.new_id("job")
    faults.set("cut-connection", where=where, match={"operation": ADD_JOB})
    try:
        client.create_job(job_spec(job_id))
        answered = True
    except (ServiceRequestError, ServiceResponseError):
        answered = False
    assert answered == (where == "after-headers")  # the answer to a create has no body
    # A client of its own: the first one may not have noticed yet that its connection is gone.
    found = [job.id for job in patient.list_jobs() if job.id == job_id]
    assert found == ([job_id] if applied else [])


def test_a_connection_can_be_cut_in_the_midst_of_a_body(account, bench, faults):
    job_id = bench.job()
    fault = faults.set("cut-connection", where="mid-body", match={"operation": "GET /jobs/{jobId}"})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        account.send("GET", f"/jobs/{job_id}")
    assert faults.fired(fault) == 1
    assert account.send("GET", f"/jobs/{job_id}").status == 200


def test_a_download_can_be_cut_in_its_midst(account, bench, faults):
    job_id = bench.job(bench.pool())
    bench.run(job_id, "t", "/bin/sh -c 'head -c 1000000 /dev/zero'")
    path = f"/jobs/{job_id}/tasks/t/files/stdout.txt"
    faults.set("cut-connection", where="mid-body", match={"taskId": "t"})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        account.send("GET", path)
    assert len(account.send("GET", path).content) == 1_000_000


@pytest.mark.parametrize(("when", "there"), [("before", False), ("after", True)])
def test_a_request_that_takes_longer_than_it_may_is_timed_out(account, bench, faults, when, there):
    job_id = bench.new_id("job")
    faults.set("slow", seconds=600, when=when, match={"operation": ADD_JOB})
    query = "api-version=2025-06-01&timeOut=1"
    answer = account.send("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "p"}}, query=query)
    assert (answer.status, answer.code) == (500, "OperationTimedOut")
    assert answer.body["values"] == [{"key": "TimeoutInSeconds", "value": "1"}]
    assert account.send("GET", f"/jobs/{job_id}").status == (200 if there else 404)
    account.send("DELETE", f"/jobs/{job_id}")


def test_the_sdk_can_say_how_long_a_request_may_take(client, faults):
    faults.set("slow", seconds=600, match={"operation": "GET /pools"})
    with pytest.raises(HttpResponseError) as caught:
        list(client.list_pools(service_timeout=1))
    assert caught.value.error.code == "OperationTimedOut"


def test_an_answer_can_be_slow_without_keeping_others_waiting(account, bench, faults):
    job_id = bench.job()
    faults.set("slow", seconds=0.3, match={"jobId": job_id})
    before = time.monotonic()
    account.send("GET", f"/jobs/{job_id}")
    assert time.monotonic() - before >= 0.3


def test_quotas_refuse_what_is_new(bench, faults):
    faults.set("quota", of="jobs")
    faults.set("quota", of="pools")
    with pytest.raises(ResourceExistsError) as caught:
        bench.job()
    assert caught.value.error.code == "ActiveJobAndScheduleQuotaReached"
    with pytest.raises(ResourceExistsError) as caught:
        bench.pool()
    assert caught.value.error.code == "PoolQuotaReached"
    bench.job()


@pytest.mark.parametrize(("casing", "status"), [("lower", "clienterror"), ("camel", "clientError")])
def test_the_status_of_added_tasks_comes_in_any_casing(account, bench, faults, casing, status):
    faults.set("task-status-casing", casing=casing, count=None)
    path = f"/jobs/{bench.job()}/addtaskcollection"
    body = {"value": [{"id": "a", "commandLine": "x"}, {"id": "a", "commandLine": "x"}]}
    found = account.send("POST", path, body).body["value"]
    assert [result["status"] for result in found] == ["success", status]


def test_counts_can_be_stale(client, bench, faults):
    job_id = bench.job()
    bench.task(job_id, "a", "x")
    fault = faults.set("stale-counts", count=2, match={"jobId": job_id})
    assert client.get_job_task_counts(job_id).task_counts.active == 0
    bench.task(job_id, "b", "x")
    assert client.get_job_task_counts(job_id).task_counts.active == 1
    assert client.get_job_task_counts(job_id).task_counts.active == 2
    assert faults.fired(fault) == 2


@pytest.mark.parametrize(("kind", "state"), [("lose-node", "unknown"), ("unusable-node", "unusable")])
def test_a_node_is_struck_and_its_task_runs_elsewhere(client, bench, faults, kind, state):
    pool_id = bench.pool(nodes=2, slots=1)
    job_id = bench.job(pool_id)
    fault = faults.set(kind, at="task-start", match={"jobId": job_id})
    task = bench.run(job_id, "t", "/bin/sleep 0.1")
    assert faults.fired(fault) == 1
    assert task.execution_info.requeue_count == 1
    assert task.execution_info.retry_count == 0
    struck = [node for node in client.list_nodes(pool_id) if node.id != task.node_info.node_id]
    assert [node.state for node in struck] == [state]


def test_a_spot_node_is_preempted_now(client, bench, faults, until):
    pool_id = bench.pool(nodes=1, target_low_priority_nodes=1, wait=False)
    until(lambda: [node.state for node in client.list_nodes(pool_id)] == ["idle", "idle"])
    fault = faults.set("preempt-node", match={"poolId": pool_id}, count=None)
    until(lambda: any(node.state == "preempted" for node in client.list_nodes(pool_id)), "the preemption")
    assert faults.fired(fault) == 1
    spared = [node for node in client.list_nodes(pool_id) if node.state == "idle"]
    assert [node.is_dedicated for node in spared] == [True]


def test_start_tasks_fail(client, bench, faults, until):
    start = models.BatchStartTask(command_line="/bin/true", wait_for_success=True)
    faults.set("fail-start-task", exitCode=9)
    pool_id = bench.pool(nodes=1, start_task=start, wait=False)
    until(lambda: [node.state for node in client.list_nodes(pool_id)] == ["starttaskfailed"])
    (node,) = client.list_nodes(pool_id)
    assert node.start_task_info.exit_code == 9


@pytest.mark.parametrize("overlap", [True, False])
def test_a_task_can_be_delivered_twice(client, bench, faults, overlap, until):
    pool_id = bench.pool()
    job_id = bench.job(pool_id)
    fault = faults.set("duplicate-delivery", overlap=overlap, match={"taskId": "t"})
    command = "/bin/sh -c 'echo $$ >> $AZ_BATCH_NODE_SHARED_DIR/runs; cp $AZ_BATCH_NODE_SHARED_DIR/runs .'"
    task = bench.run(job_id, "t", command)
    assert task.execution_info.result == "success"
    assert faults.fired(fault) == 1
    node = task.node_info.node_id

    def runs():
        return b"".join(client.download_node_file(pool_id, node, "shared/runs")).split()

    until(lambda: len(set(runs())) == 2, "the second run")


def test_every_skip_and_seed_decide_when(account, bench, faults):
    path = f"/jobs/{bench.job()}"

    def statuses(count, **when):
        faults.ask("DELETE")
        faults.set("http-error", status=500, count=None, **when)
        return [account.send("GET", path).status for _ in range(count)]

    assert statuses(7, skip=1, every=3) == [200, 200, 200, 500, 200, 200, 500]
    some = statuses(12, probability=0.5, seed=3)
    assert set(some) == {200, 500}
    assert statuses(12, probability=0.5, seed=3) == some
    assert statuses(12, probability=0.5, seed=4) != some


def test_faults_are_listed_and_taken_away(faults):
    first, second = faults.set("slow", seconds=1), faults.set("http-error", match={"method": "PUT"})
    assert [fault["id"] for fault in faults.ask("GET")[1]["value"]] == [first, second]
    assert faults.ask("DELETE", f"/faults/{first}") == (204, None)
    assert faults.ask("GET", f"/faults/{first}")[0] == 404
    assert faults.ask("DELETE") == (204, None)
    assert faults.ask("GET")[1] == {"value": []}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"nonsense", "JSON"),
        ({"kind": "fire"}, "preempt-node"),
        ({"kind": "slow"}, "seconds"),
        ({"kind": "slow", "seconds": 1, "colour": "red"}, "colour"),
        ({"kind": "slow", "seconds": "1"}, "seconds"),
        ({"kind": "http-error", "status": 404}, "429"),
        ({"kind": "http-error", "count": 0}, "count"),
        ({"kind": "http-error", "match": {"operation": "POST /job"}}, "POST /jobs"),
        ({"kind": "lose-node", "match": {"operation": ADD_TASKS}}, "not operations"),
        ({"kind": "lose-node", "match": {"taskId": "a"}}, "task-start"),
    ],
)
def test_a_wrong_fault_is_refused_with_the_reason(faults, body, part):
    status, answer = faults.ask("POST", body=body)
    assert (status, answer["error"]["code"]) == (400, "InvalidFault")
    assert part in answer["error"]["message"]
    assert faults.ask("GET")[1] == {"value": []}


def test_the_port_of_the_faults_wants_its_token(server, faults):
    assert faults.ask("GET", authorization="Bearer wrong")[0] == 401
    assert faults.ask("GET", authorization=f"Bearer {server.emulator.credentials.key}")[0] == 401
    assert faults.ask("GET", "/other")[0] == 404
    assert faults.ask("PATCH")[0] == 405


def test_without_faults_the_main_port_knows_no_such_path(account):
    answer = account.send("POST", "/faults", {"kind": "slow", "seconds": 1})
    assert (answer.status, answer.code) == (400, "InvalidUri")
