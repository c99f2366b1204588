"""The window: what it shows, to whom, and that a real browser draws it."""

import http.client
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from batch_emulator.account import Settings
from batch_emulator.server import Wishes, running_in_thread

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
)  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with running_in_thread(Settings(node_delay=0.01), Wishes()) as server:
        yield server


@pytest.fixture(scope="module")
def account(server, account_of):
    return account_of(server)


@pytest.fixture
def token(server):
    return server.window.link.partition("#window=")[2]


@pytest.fixture
def get(account):
    def get(path, **headers):
        connection = http.client.HTTPConnection(account.endpoint.removeprefix("http://"), timeout=5)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.putrequest("GET", path, skip_host="host" in sent)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    return get


def test_the_page_itself_tells_nothing_and_loads_nothing_from_elsewhere(get, bench, token):
    pool_id = bench.pool(nodes=0)
    for path, kind in (("/", "text/html"), ("/window.js", "text/javascript"), ("/window.css", "text/css")):
        status, headers, text = get(path)
        assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert not re.search(r"https?://", text)
        assert pool_id not in text
        assert token not in text


def test_pools_nodes_jobs_and_tasks_are_shown_to_who_has_the_token(get, bench, token):
    pool_id = bench.pool(nodes=2, slots=3)
    job_id = bench.job(pool_id)
    bench.run(job_id, "good", "/bin/true")
    bench.run(job_id, "bad", "/bin/sh -c 'exit 7'")
    status, _, text = get("/window", x_window_token=token)
    assert status == 200
    assert text.count(f"<p>{pool_id}, dedicated") == 2
    row = text[text.index("<h2>Jobs") :].partition(f"<td><code>{job_id}</code></td>")[2].partition("</tr>")[0]
    assert re.findall(r'number">(\d+)<', row) == ["0", "0", "1", "1"]
    assert "<code>bad</code></td><td>" in text
    assert "<td>7</td>" in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_window_token": "wrong"},
        {"x_window_token": "RIGHT", "host": "evil.example:80"},
        {"x_window_token": "RIGHT", "host": "127.0.0.1:1"},
        {"x_window_token": "RIGHT", "host": "evil.example"},
        {"x_window_token": "RIGHT", "sec_fetch_site": "same-site"},
        {"x_window_token": "RIGHT", "sec_fetch_site": "cross-site"},
    ],
)
def test_the_state_is_shown_to_nobody_else(get, bench, token, headers):
    pool_id = bench.pool(nodes=0)
    sent = {name: token if value == "RIGHT" else value for name, value in headers.items()}
    status, _, text = get("/window", **sent)
    assert status == 403
    assert pool_id not in text


def test_a_rebound_name_does_not_even_get_the_page(get):
    assert get("/", host="evil.example:8099")[0] == 403


def test_the_token_is_no_key_and_the_key_no_token(account, get, token):
    assert get("/window", x_window_token=account.key)[0] == 403
    assert account.send("GET", "/jobs", headers={"authorization": f"SharedKey localbatch:{token}"}).status == 403


def test_what_clients_write_is_escaped(get, server, account, token):
    server.emulator.account.jobs  # noqa: B018 - ids hold no markup, so the only free text is the pool's size
    body = {"id": "escaped", "vmSize": "<script>alert(1)</script>", "targetDedicatedNodes": 0}
    body["virtualMachineConfiguration"] = {"imageReference": {"offer": "o"}, "nodeAgentSKUId": "batch.node.ubuntu"}
    if account.send("POST", "/pools", body).status != 201:
        pytest.skip("sizes are checked")
    text = get("/window", x_window_token=token)[2]
    account.send("DELETE", "/pools/escaped")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_browser_draws_it(server, bench, tmp_path):
    pool_id = bench.pool(nodes=2)
    job_id = bench.job(pool_id)
    bench.run(job_id, "t", "/bin/true")
    found = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", server.window.link],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"<code>{pool_id}</code>" in found.stdout, found.stderr[-2000:]
    assert f"<code>{job_id}</code>" in found.stdout
    assert 'class="live"' in found.stdout
    assert "Content Security Policy" not in found.stderr
    assert not list(Path(tmp_path).glob("**/Crash Reports/pending/*"))
