"""Bearer tokens over TLS, with the real SDK."""

import asyncio
import base64
import json
import ssl
import time
import urllib.error
import urllib.request

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from batch_emulator import oauth
from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread


class Given:
    """A credential that gives one token."""

    def __init__(self, token):
        self._token = token

    def get_token(self, *scopes, **_):
        assert scopes == ("https://batch.core.windows.net//.default",)
        return AccessToken(self._token, int(time.time()) + 3600)


@pytest.fixture(scope="module", params=["local", "any"])
def server(request):
    with running_in_thread(Settings(node_delay=0.01), Wishes(accept=request.param)) as server:
        yield server


@pytest.fixture
def client_with(server):
    def make(token):
        return BatchClient(
            server.emulator.account.url,
            Given(token),
            connection_verify=str(server.certificate.path),
            retry_total=0,
        )

    return make


def foreign(**claims):
    """A token as Entra ID makes them, of which only Microsoft could prove the signature."""
    parts = ({"alg": "RS256", "typ": "JWT"}, {"aud": oauth.AUDIENCE, "exp": time.time() + 60} | claims)
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return f"{text}.c2lnbmF0dXJl"


def test_a_token_of_the_emulator_lets_the_sdk_in(server, client_with):
    assert server.emulator.account.url.startswith("https://")
    with client_with(oauth.issue(server.emulator.credentials.key)) as client:
        assert list(client.list_jobs()) == []


def test_a_token_lets_the_asynchronous_sdk_in_too(server, aio_client):
    class Given:
        async def get_token(self, *scopes, **_):
            assert scopes == ("https://batch.core.windows.net//.default",)
            return AccessToken(oauth.issue(server.emulator.credentials.key), int(time.time()) + 3600)

        async def close(self):
            pass

    async def jobs():
        verify = str(server.certificate.path)
        async with aio_client(server.emulator.account.url, Given(), connection_verify=verify) as client:
            return [job async for job in client.list_jobs()]

    assert asyncio.run(jobs()) == []


def test_a_token_for_azure_batch_lets_in_only_where_any_is_accepted(server, client_with):
    with client_with(foreign()) as client:
        if server.doors.accept == "any":
            assert list(client.list_jobs()) == []
        else:
            with pytest.raises(ClientAuthenticationError, match="batch-emulator token"):
                list(client.list_jobs())


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "a.b.c",
        "..",
        foreign(aud="https://storage.azure.com/"),
        foreign(exp=1),
        foreign(exp=None),
        foreign(nbf=time.time() + 1000),
        oauth.issue("a2V5", seconds=-1),
    ],
)
def test_other_tokens_are_401(client_with, token):
    with client_with(token) as client, pytest.raises(ClientAuthenticationError) as caught:
        list(client.list_jobs())
    assert caught.value.status_code == 401
    assert caught.value.error.code == "InvalidAuthenticationInfo"


def test_a_token_that_was_changed_is_refused(server, client_with):
    if server.doors.accept == "any":
        pytest.skip("signatures are not looked at")
    head, _, signature = oauth.issue(server.emulator.credentials.key).split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"aud": oauth.AUDIENCE, "exp": 9e9}).encode()).rstrip(b"=").decode()
    with client_with(f"{head}.{claims}.{signature}") as client, pytest.raises(ClientAuthenticationError):
        list(client.list_jobs())


def test_the_key_works_over_tls_too(server):
    credential = AzureNamedKeyCredential("localbatch", server.emulator.credentials.key)
    verify = str(server.certificate.path)
    with BatchClient(server.emulator.account.url, credential, connection_verify=verify, retry_total=0) as client:
        assert list(client.list_pools()) == []


def test_the_certificate_is_private_and_strictly_valid(server):
    context = ssl.create_default_context(cafile=str(server.certificate.path))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for host in ("127.0.0.1", "localhost"):
        url = f"https://{host}:{server.emulator.account.url.rpartition(':')[2]}/healthz"
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:
            assert answer.status == 200
    assert server.certificate.key_path.stat().st_mode & 0o777 == 0o600


def test_without_the_certificate_nobody_is_let_in_by_accident(server):
    client = BatchClient(server.emulator.account.url, Given("x"), retry_total=0)
    with client, pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        list(client.list_jobs())


V20 = "api-version=2024-07-01.20.0"
"""The last version whose tasks can have a token."""
VM = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}


@pytest.fixture
def ask(server):
    """Sends a request with a bearer token of the test's choice; gives status and body."""
    context = ssl.create_default_context(cafile=str(server.certificate.path))

    def send(token, method, path, body=None):
        content = json.dumps(body).encode() if body is not None else None
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = f"{server.emulator.account.url}{path}?{V20}"
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return send


def test_a_task_reaches_its_job_with_its_token_and_nothing_else(server, ask, until):
    owner = oauth.issue(server.emulator.credentials.key)
    name = f"token-{time.monotonic_ns()}"
    pool = {"id": name, "vmSize": "s", "virtualMachineConfiguration": VM, "targetDedicatedNodes": 1}
    assert ask(owner, "POST", "/pools", pool)[0] == 201
    for job_id in (name, f"{name}-other"):
        assert ask(owner, "POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": name}})[0] == 201
    command = "/bin/sh -c 'printf %s $AZ_BATCH_AUTHENTICATION_TOKEN > token; mv token ready; sleep 300'"
    task = {"id": "a", "commandLine": command, "authenticationTokenSettings": {"access": ["job"]}}
    assert ask(owner, "POST", f"/jobs/{name}/tasks", task)[0] == 201
    shown = json.loads(ask(owner, "GET", f"/jobs/{name}/tasks/a")[1])
    assert shown["authenticationTokenSettings"] == {"access": ["job"]}

    def given():
        status, text = ask(owner, "GET", f"/jobs/{name}/tasks/a/files/wd/ready")
        return text.decode() if status == 200 else None

    token = until(given)
    assert ask(token, "GET", f"/jobs/{name}/tasks/a")[0] == 200
    assert ask(token, "POST", f"/jobs/{name}/tasks", {"id": "b", "commandLine": "/bin/true"})[0] == 201
    for method, path in (("GET", f"/jobs/{name}-other"), ("GET", "/jobs"), ("GET", f"/pools/{name}")):
        status, body = ask(token, method, path)
        assert (status, json.loads(body)["code"]) == (403, "AuthenticationFailed"), path
    assert ask(owner, "POST", f"/jobs/{name}/tasks/a/terminate")[0] == 204
    until(lambda: json.loads(ask(owner, "GET", f"/jobs/{name}/tasks/a")[1])["state"] == "completed")
    assert ask(token, "GET", f"/jobs/{name}")[0] == 403
    ask(owner, "DELETE", f"/pools/{name}")


def test_without_tls_a_task_cannot_have_a_token(account, bench):
    task = {"id": "a", "commandLine": "x", "authenticationTokenSettings": {"access": ["job"]}}
    answer = account.send("POST", f"/jobs/{bench.job()}/tasks", task, query=V20)
    assert (answer.status, answer.code) == (400, "UnsupportedProperty")
    assert "--oauth" in answer.body["values"][1]["value"]
    manager = {"id": "m", "commandLine": "x", "authenticationTokenSettings": {"access": ["job"]}}
    job = {"id": bench.new_id("x"), "poolInfo": {"poolId": "p"}, "jobManagerTask": manager}
    answer = account.send("POST", "/jobs", job, query=V20)
    assert (answer.code, answer.body["values"][0]["value"]) == (
        "UnsupportedProperty",
        "jobManagerTask.authenticationTokenSettings",
    )
