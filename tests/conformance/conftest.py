"""The real SDK against the emulator, or, with BATCHIMG_LIVE=1, against a real account.

Live: BATCHIMG_LIVE_ENDPOINT, BATCHIMG_LIVE_ACCOUNT and BATCHIMG_LIVE_KEY name the account; only tests marked
`live` are run, and they make no pools.
"""

import base64
import http.client
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from importlib.util import find_spec
from typing import Any

import jsonschema
import pytest
from azure.batch import BatchClient, models
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AsyncioRequestsTransport

from batch_emulator.account import Settings
from batch_emulator.auth import sign, strings_to_sign
from batch_emulator.routes import find
from batch_emulator.server import running_in_thread
from batch_emulator.validation import schema
from batch_emulator.wire import Request

LIVE = os.environ.get("BATCHIMG_LIVE") == "1"
DEADLINE = 20.0

POOL, NODE, JOB, TASK = (
    "/pools/{poolId}",
    "/pools/{poolId}/nodes/{nodeId}",
    "/jobs/{jobId}",
    "/jobs/{jobId}/tasks/{taskId}",
)
SCHEDULE = "/jobschedules/{jobScheduleId}"
LISTED = {
    "GET /applications": "BatchApplication",
    "GET /poolusagemetrics": "BatchPoolUsageMetrics",
    "GET /supportedimages": "BatchSupportedImage",
    "GET /nodecounts": "BatchPoolNodeCounts",
    "GET /pools": "BatchPool",
    f"GET {POOL}/nodes": "BatchNode",
    f"GET {NODE}/extensions": "BatchNodeVMExtension",
    f"GET {NODE}/files": "BatchNodeFile",
    "GET /jobs": "BatchJob",
    f"GET {JOB}/jobpreparationandreleasetaskstatus": "BatchJobPreparationAndReleaseTaskStatus",
    f"GET {JOB}/tasks": "BatchTask",
    f"GET {TASK}/subtasksinfo": "BatchSubtask",
    f"GET {TASK}/files": "BatchNodeFile",
    f"POST {JOB}/addtaskcollection": "BatchTaskCreateResult",
    "GET /jobschedules": "BatchJobSchedule",
    f"GET {SCHEDULE}/jobs": "BatchJob",
}
SHOWN = {
    "GET /applications/{applicationId}": "BatchApplication",
    f"GET {POOL}": "BatchPool",
    f"POST {POOL}/evaluateautoscale": "AutoScaleRun",
    f"GET {NODE}": "BatchNode",
    f"GET {NODE}/remoteloginsettings": "BatchNodeRemoteLoginSettings",
    f"POST {NODE}/uploadbatchservicelogs": "UploadBatchServiceLogsResult",
    f"GET {NODE}/extensions/{{extensionName}}": "BatchNodeVMExtension",
    f"GET {JOB}": "BatchJob",
    f"GET {JOB}/taskcounts": "BatchTaskCountsResult",
    f"GET {TASK}": "BatchTask",
    f"GET {SCHEDULE}": "BatchJobSchedule",
}
"""The model of every answer that has one; an answer in JSON that is in neither table is a failure."""


def pytest_configure(config):
    config.addinivalue_line("markers", "live: can also run against a real account, with BATCHIMG_LIVE=1")


def pytest_collection_modifyitems(items):
    if LIVE:
        skip = pytest.mark.skip(reason="not meant for a real account")
        for item in items:
            if "conformance" in str(item.path) and item.get_closest_marker("live") is None:
                item.add_marker(skip)


def lenient(node: Any) -> Any:
    """The schema as the real service keeps it: enum values in any casing, sizes of files as strings."""
    if isinstance(node, list):
        return [lenient(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "enum" in node:
        return {"pattern": f"(?i)^({'|'.join(node['enum'])})$"}
    changed = {name: lenient(entry) for name, entry in node.items()}
    if "contentLength" in changed:
        changed["contentLength"] = {"type": ["string", "integer"]}
    return changed


SCHEMA = lenient(schema())


def without_metadata(value: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in value.items() if not name.startswith("odata.")}


def check_shape(method: str, path: str, status: int, body: Any, *, selected: bool) -> None:
    """Hold a response against the schema; with $select the required fields may be missing."""
    if status >= 400:
        assert isinstance(body, dict), f"{method} {path} -> {status}: an error without a body"
        validate(without_metadata(body), "BatchError", selected=False)
        return
    route, _ = find(method, path)
    name = f"{method} {route.template}"
    if route.template.endswith("/files/{filePath}"):
        return  # a file's content, which may be JSON too
    if name in LISTED:
        for item in body["value"]:
            validate(item, LISTED[name], selected=selected)
    else:
        assert name in SHOWN, f"{name} answers with JSON that no model describes"
        validate(without_metadata(body), SHOWN[name], selected=selected)


@cache
def validator(model: str, *, selected: bool) -> jsonschema.protocols.Validator:
    definitions = SCHEMA["$defs"]
    wanted = {name: entry for name, entry in definitions[model].items() if not selected or name != "required"}
    return jsonschema.Draft202012Validator({"$defs": definitions, **wanted})


def validate(value: Any, model: str, *, selected: bool) -> None:
    validator(model, selected=selected).validate(value)


class ShapePolicy(SansIOHTTPPolicy):
    """Checks every response that a client gets."""

    def on_response(self, request, response):
        answer = response.http_response
        if "json" not in answer.headers.get("content-type", ""):
            return
        path = "/" + request.http_request.url.split("?")[0].split("/", 3)[3]
        selected = "%24select" in request.http_request.url or "$select" in request.http_request.url
        if request.context.options.get("stream"):
            return
        body = json.loads(answer.text())
        check_shape(request.http_request.method, path, answer.status_code, body, selected=selected)


@dataclass
class Account:
    endpoint: str
    name: str
    key: str

    def client(self, **options: Any) -> BatchClient:
        credential = AzureNamedKeyCredential(self.name, self.key)
        policies = [ShapePolicy()]
        return BatchClient(self.endpoint, credential, per_call_policies=policies, retry_total=0, **options)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "api-version=2025-06-01",
        headers: dict[str, str] | None = None,
        key: str | None = None,
    ) -> "Answer":
        """A signed request, written byte by byte as it is given here."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"ocp-date": formatdate(usegmt=True)}
        if method not in ("GET", "HEAD"):
            fields["content-length"] = str(len(content))
        if content:
            fields["content-type"] = "application/json; odata=minimalmetadata; charset=utf-8"
        fields |= headers or {}
        lower = {name.lower(): value for name, value in fields.items()}
        text = next(strings_to_sign(Request(method, path, query, lower, b""), self.name))
        signature = sign(base64.b64decode(key or self.key), text)
        fields.setdefault("authorization", f"SharedKey {self.name}:{signature}")
        host, _, port = self.endpoint.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.putrequest(method, f"{path}?{query}" if query else path, skip_accept_encoding=True)
            for name, value in fields.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            found = connection.getresponse()
            spelled = tuple(name for name, _ in found.getheaders())
            answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read(), spelled)
        finally:
            connection.close()
        is_json = "json" in answer.headers.get("content-type", "") and method != "HEAD" and path != "/healthz"
        # What older versions are answered is held against their own OpenAPI, in test_versions.py.
        if is_json and ("api-version=2025-06-01" in query or answer.status >= 400):
            check_shape(method, path, answer.status, answer.body, selected="%24select" in query)
        return answer


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes
    spelled: tuple[str, ...] = ()
    """The headers' names, as they were written."""

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        return self.body["code"]


def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Poll until `condition` gives something true, and give that."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true within {DEADLINE} s")


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    if LIVE:
        yield Account(*(os.environ[f"BATCHIMG_LIVE_{name}"] for name in ("ENDPOINT", "ACCOUNT", "KEY")))
        return
    with running_in_thread(Settings(node_delay=0.01)) as server:
        credentials = server.emulator.credentials
        yield Account(server.emulator.account.url, credentials.account, credentials.key)


@pytest.fixture(scope="session")
def account_of() -> Callable[[Any], Account]:
    """The account of an emulator that a test module started with options of its own."""

    def account(server: Any) -> Account:
        credentials = server.emulator.credentials
        return Account(server.emulator.account.url, credentials.account, credentials.key)

    return account


@pytest.fixture
def client(account) -> Iterator[BatchClient]:
    with account.client() as client:
        yield client


VM = {
    "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
    "nodeAgentSKUId": "batch.node.ubuntu 24.04",
}


@dataclass
class Bench:
    """Makes pools, jobs and tasks with ids of their own, and takes them away again."""

    client: BatchClient
    until: Callable[..., Any] = until

    def __post_init__(self):
        self._prefix = f"conformance-{uuid.uuid4().hex[:8]}"
        self._pools, self._jobs = [], []

    def new_id(self, kind: str) -> str:
        return f"{self._prefix}-{kind}-{len(self._pools) + len(self._jobs)}"

    def pool(self, nodes: int = 1, slots: int = 4, *, wait: bool = True, **more) -> str:
        pool_id = self.new_id("pool")
        vm = models.VirtualMachineConfiguration(VM)
        self.client.create_pool(
            models.BatchPoolCreateOptions(
                id=pool_id,
                vm_size="STANDARD_D2_V3",
                virtual_machine_configuration=vm,
                target_dedicated_nodes=nodes,
                task_slots_per_node=slots,
                **more,
            )
        )
        self._pools.append(pool_id)
        if wait:
            self.until(lambda: sum(n.state == "idle" for n in self.client.list_nodes(pool_id)) == nodes)
        return pool_id

    def job(self, pool_id: str = "no-such-pool", **more) -> str:
        job_id = self.new_id("job")
        info = models.BatchPoolInfo(pool_id=pool_id)
        self.client.create_job(models.BatchJobCreateOptions(id=job_id, pool_info=info, **more))
        self._jobs.append(job_id)
        return job_id

    def task(self, job_id: str, task_id: str, command_line: str, **more) -> None:
        self.client.create_task(job_id, models.BatchTaskCreateOptions(id=task_id, command_line=command_line, **more))

    def run(self, job_id: str, task_id: str, command_line: str, **more) -> models.BatchTask:
        """Add a task, wait for its end, and give it."""
        self.task(job_id, task_id, command_line, **more)
        return self.completed(job_id, task_id)

    def completed(self, job_id: str, task_id: str) -> models.BatchTask:
        def task():
            found = self.client.get_task(job_id, task_id)
            return found if found.state == "completed" else None

        return self.until(task, f"the end of task {task_id}")

    def text(self, job_id: str, task_id: str, path: str = "stdout.txt") -> str:
        return b"".join(self.client.download_task_file(job_id, task_id, path)).decode()

    def clean(self) -> None:
        for job_id in self._jobs:
            with suppress(ResourceNotFoundError, ResourceExistsError):
                self.client._delete_job_internal(job_id)
        for pool_id in self._pools:
            with suppress(ResourceNotFoundError, ResourceExistsError):
                self.client._delete_pool_internal(pool_id)


@pytest.fixture
def bench(client) -> Iterator[Bench]:
    bench = Bench(client)
    yield bench
    bench.clean()


@pytest.fixture
def bench_of() -> Callable[[BatchClient], Bench]:
    """A bench for the client of an emulator that a test started with options of its own."""
    return Bench


@pytest.fixture(name="until")
def until_fixture():
    return until


@pytest.fixture
def aio_client() -> Callable[..., AsyncBatchClient]:
    """The asynchronous client, over requests: aiohttp, where there is one, costs each process a tenth of a second."""

    def client(*names: Any, connection_verify: Any = True, **options: Any) -> AsyncBatchClient:
        if find_spec("aiohttp"):
            return AsyncBatchClient(*names, connection_verify=connection_verify, **options)
        return AsyncBatchClient(
            *names, transport=AsyncioRequestsTransport(connection_verify=connection_verify), **options
        )

    return client
