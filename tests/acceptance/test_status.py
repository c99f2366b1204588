"""Status: what it costs to ask, that it outlives job and pool, whom it tells of the end, and that nothing leaks."""

import base64
import json
import re
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from batch_emulator.account import Settings
from batchimg import still
from batchimg.connect import connect
from batchimg.errors import SettingsError
from batchimg.events import Told
from batchimg.notify import check_target, notify, session_for
from batchimg.runs import find_run
from batchimg.settings import load_settings
from batchimg.watch import status
from batchimg_worker.blob_names import heartbeat_path, result_path, run_path
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat, RunSpec
from batchimg_worker.documents import dump, parse

from made_images import noise
from stage import Stage, stage, task

FILM = Path(__file__).parents[2] / "samples" / "operations" / "film.py"
TOKEN = "hook-secret-5d1f"  # what makes a webhook's URL a secret


@dataclass
class Hook:
    """A webhook that answers as it is told, then with 200."""

    server: ThreadingHTTPServer
    url: str = ""
    answers: list[int] = field(default_factory=list)
    told: list[dict] = field(default_factory=list)


@contextmanager
def hook(*answers: int) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            code = made.answers.pop(0) if made.answers else 200
            self.send_response(code)
            if code == 302:
                self.send_header("location", made.url + "&redirected")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Hook(server, answers=list(answers))
    made.url = f"http://127.0.0.1:{server.server_port}/hook?token={TOKEN}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def made(batchimg):
    with stage(batchimg, Settings(node_delay=0.01)) as found:
        found.environment["BATCHIMG_POOL"] = found.pool("small", 1)
        yield found


@dataclass
class Finished:
    run: str
    said: str
    status: dict
    told: list[dict]
    out: Path
    page: Path


@pytest.fixture(scope="module")
def finished(batchimg, made, tmp_path_factory) -> Finished:
    """A run with all that can be left behind.

    A canary, operations of one's own, pictures, a failure, logs, a download, a gallery, a retry, notifications.
    """
    folder = noise(tmp_path_factory.mktemp("data") / "left", 3)
    (folder / "broken.png").write_bytes(b"no picture")
    said: list[str] = []

    def run(*arguments: object, expect: int = 0) -> str:
        done = batchimg(*arguments, expect=expect, **made.environment)
        said.append(done.stdout + done.stderr)
        return done.stdout

    with hook(503) as hooked:
        submit = ("submit", "--dataset", folder, "--chunk-images", 2, "--op", "rotate=20", "--wait", "--json")
        own = ("--operations", FILM, "--op", "vignette=0.7", "--canary", 1, "--max-cost", 9)
        last = json.loads(run(*submit, *own, "--notify", hooked.url, expect=1).splitlines()[-1])
        told = list(hooked.told)
    out, page = batchimg.home / "left-out", batchimg.home / "left.html"
    run("status", last["run"], expect=1)
    run("why", last["run"], expect=1)
    run("logs", last["run"])
    run("download", last["run"], "--to", out)
    run("gallery", last["run"], "--to", page)
    run("retry", last["run"], "--wait", expect=1)
    return Finished(last["run"], "\n".join(said), last, told, out, page)


def test_a_webhook_is_told_once_it_answers(finished):
    assert len(finished.told) == 2  # it was busy the first time
    message = finished.told[1]
    assert message["text"] == f"batchimg: run {finished.run} is completed: 2 of 3 images done, 1 failed."
    assert (message["event"], message["state"], message["causes"]) == ("run-over", "completed", {"DecodeError": 1})


def test_failures_are_counted_by_cause(finished):
    assert finished.status["causes"] == {"DecodeError": 1}
    assert "1 DecodeError" in finished.said


@pytest.mark.parametrize(("code", "posts"), [(404, 1), (302, 1), (500, 3)])
def test_a_webhook_that_does_not_take_it_is_a_remark_without_its_url(made, finished, code, posts):
    remarks: list[Told] = []
    with in_process(made) as services, hook(*[code] * posts) as hooked:
        now = status(services, find_run(services, finished.run))
        assert not notify(hooked.url, now, remarks.append)
    assert len(hooked.told) == posts
    assert [told.text for told in remarks] == [
        f"127.0.0.1 was not notified that run {finished.run} is over: it answered {code}."
    ]


def test_a_webhook_that_is_not_there_is_a_remark(made, finished):
    remarks: list[Told] = []
    with hook() as hooked:
        pass
    with in_process(made) as services:
        assert not notify(hooked.url, status(services, find_run(services, finished.run)), remarks.append)
    assert "ConnectionError" in remarks[0].text
    assert TOKEN not in remarks[0].text


def test_a_webhook_that_hangs_is_a_remark(made, finished, monkeypatch):
    monkeypatch.setattr("batchimg.notify.ANSWER_SECONDS", 0.05)
    remarks: list[Told] = []
    with in_process(made) as services, socket.create_server(("127.0.0.1", 0)) as silent:
        now = status(services, find_run(services, finished.run))
        assert not notify(f"http://127.0.0.1:{silent.getsockname()[1]}/{TOKEN}", now, remarks.append)
    assert remarks[0].text.endswith("it did not answer in time (ReadTimeout).")


def test_a_webhook_whose_certificate_nobody_signed_is_told_nothing(made, finished, tmp_path):
    remarks: list[Told] = []
    with in_process(made) as services, hook() as hooked:
        hooked.server.socket = server_side(tmp_path).wrap_socket(hooked.server.socket, server_side=True)
        now = status(services, find_run(services, finished.run))
        assert not notify(hooked.url.replace("http:", "https:"), now, remarks.append)
    assert hooked.told == []
    assert "its certificate is not trusted" in remarks[0].text
    assert TOKEN not in remarks[0].text


def server_side(folder: Path) -> ssl.SSLContext:
    """With a certificate of 127.0.0.1 that it signed itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now, names = datetime.now(UTC), x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    pem = made.add_extension(names, critical=True).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "self.pem").write_bytes(own + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "self.pem")
    return context


def test_a_webhook_gets_the_password_of_its_url_and_none_of_netrc(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(f"default login me password {TOKEN}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for target, sent in (("https://hooks.example/x", None), ("https://a:b@hooks.example/x", "Basic YTpi")):
        with session_for(target) as session:
            prepared = session.prepare_request(requests.Request("POST", target))
        assert prepared.headers.get("Authorization") == sent


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_that_cannot_be_is_a_remark(made, finished, host):
    remarks: list[Told] = []
    with in_process(made) as services:
        now = status(services, find_run(services, finished.run))
    assert not notify(f"https://{host}/{TOKEN}", now, remarks.append)
    assert "it cannot be reached" in remarks[0].text
    assert TOKEN not in remarks[0].text


def test_the_setting_notifies_as_the_option_does_and_its_url_is_not_repeated(batchimg, made, finished):
    with hook(404) as hooked:
        environment = made.environment | {"BATCHIMG_NOTIFY": hooked.url}
        done = batchimg("status", finished.run, "--watch", "--json", expect=1, **environment)
    assert [message["run"] for message in hooked.told] == [finished.run]
    assert "127.0.0.1 was not notified" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "target", [f"http://example.com/{TOKEN}", f"ftp://x/{TOKEN}", TOKEN, f"https://[{TOKEN}", f"https://a:b/{TOKEN}"]
)
def test_a_target_that_is_none_is_refused_and_not_repeated(target):
    with pytest.raises(SettingsError, match="neither an https URL nor `bell`") as caught:
        check_target(target)
    assert TOKEN not in caught.value.message + caught.value.hint


def test_what_nobody_waits_for_cannot_be_notified(batchimg, tmp_path):
    refused = batchimg("submit", "--dataset", noise(tmp_path, 1), "--notify", "bell", expect=2)
    assert "it needs --wait" in refused.stderr


SECRETS = {
    "a signature of shared access": re.compile(rb"[?&;]sig=|SharedAccessSignature", re.IGNORECASE),
    "a connection string": re.compile(rb"AccountKey=", re.IGNORECASE),
    "a token": re.compile(rb"eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.|bearer [A-Za-z0-9._-]{20,}", re.IGNORECASE),
    "a webhook's secret": re.compile(TOKEN.encode()),
}


def leaks(name: str, content: bytes, keys: list[bytes]) -> list[str]:
    found = [f"{name}: {what}" for what, pattern in SECRETS.items() if pattern.search(content)]
    return found + [f"{name}: an account's key" for key in keys if key in content]


def test_nothing_that_a_run_leaves_holds_a_key_a_signature_or_a_token(batchimg, made, finished):
    stack = batchimg.stack()["stack"]
    known = [made.environment["BATCHIMG_BATCH_KEY"], stack["storage_key"], stack["batch_key"]]
    keys = [form for key in known for form in (key.encode(), quote(key, safe="").encode(), base64.b64decode(key))]
    assert leaks("a probe", b"x" + keys[0], keys) == ["a probe: an account's key"]
    left: dict[str, bytes] = {"what the commands printed": finished.said.encode()}
    for container in ("runs", "inputs", "outputs"):
        for blob in made.store.container(container).list(metadata=True):
            left[f"{container}/{blob.path}"] = made.store.container(container).read(blob.path)
            left[f"metadata of {container}/{blob.path}"] = repr(blob.metadata).encode()
    for job in made.client.list_jobs():
        left[f"job {job.id}"] = repr(job.as_dict()).encode()
        for one in made.client.list_tasks(job.id):
            left[f"task {one.id}"] = repr(one.as_dict()).encode()
    for pool in made.client.list_pools():
        left[f"pool {pool.id}"] = repr(pool.as_dict()).encode()
    nodes = made.server.emulator.account.folders.root
    files = [*nodes.rglob("*"), *finished.out.rglob("*"), finished.page, *(batchimg.home / "logs").rglob("*")]
    left |= {str(file): file.read_bytes() for file in files if file.is_file()}
    parts = ["results/", "manifests/", "logs/", "run.json", "task 0", "stderr.txt", "left.html", "results.jsonl"]
    for part in (*parts, "left-canary-", "left-r1-", "operations/", "job left-canary-", "job left-r1-"):
        assert any(part in name for name in left), f"no {part} among what was looked at"
    assert [leak for name, content in left.items() for leak in leaks(name, content, keys)] == []


@pytest.mark.usefixtures("finished")
def test_a_key_of_the_local_stack_lies_in_private_files_alone(batchimg):
    stack = batchimg.stack()["stack"]
    keys = [stack["storage_key"].encode(), stack["batch_key"].encode()]
    holders = [
        file
        for file in batchimg.home.rglob("*")
        if file.is_file() and "__blobstorage__" not in file.parts and any(key in file.read_bytes() for key in keys)
    ]
    assert holders
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in holders), holders
    assert not [file for file in holders if "logs" in file.parts]


def in_process(made: Stage):
    return connect(load_settings(None, **{n.removeprefix("BATCHIMG_").lower(): v for n, v in made.environment.items()}))


def test_status_is_the_same_after_the_job_and_the_pool_have_gone(batchimg, made, finished):
    before = json.loads(batchimg("status", finished.run, "--json", expect=1, **made.environment).stdout)
    made.client.begin_delete_job(finished.run).wait()
    made.client.begin_delete_pool("small").wait()
    after = json.loads(batchimg("status", finished.run, "--json", expect=1, **made.environment).stdout)
    assert after == before | {"nodes": {}, "ended": after["ended"]}
    assert after["note"] is None


def test_a_finished_chunk_leaves_its_result_and_no_heartbeat(made, finished):
    names = [blob.path for blob in made.store.container("runs").list(f"{finished.run}/")]
    assert len([name for name in names if "/results/" in name]) == 2
    assert not [name for name in names if "/heartbeats/" in name]


def test_status_sees_stragglers_and_causes_among_thousands_of_images_in_a_few_requests(made):
    """As many requests for 40 chunks as for none; a listing shows 5,000 of them."""
    runs, now = made.store.container("runs"), datetime.now(UTC)
    golden = Path(__file__).parents[1] / "contract" / "golden" / "run-v1.json"
    spec = parse(RunSpec, golden.read_bytes(), "golden").model_copy(
        update={"run": "many-0123456789", "chunks": 40, "images": 4000, "rejected": 0}
    )
    with in_process(made) as services:
        asked: list[str] = []
        for client in (services.batch._client._config, services.store._service._config):
            client.logging_policy.on_request = lambda request: asked.append(request.http_request.url)
        runs.write(run_path(spec.run), dump(spec))
        assert status(services, spec).done == 0
        few = len(asked)
        for chunk in range(40):
            running = chunk >= 30
            beat = Heartbeat(
                chunk=chunk,
                state="running" if running else "finished",
                done=50 if running else 99,
                failed=0 if running else 1,
                total=100,
                bytes_in=1,
                bytes_out=1,
                node="node-1",
                started=now - timedelta(seconds=1000 if chunk == 39 else 100),
                updated=now,
                causes=None if running else {"DecodeError": 1},
            )
            path = heartbeat_path(spec.run, chunk) if running else result_path(spec.run, chunk)
            runs.write(path, b"", metadata={HEARTBEAT_METADATA: dump(beat).decode()})
        asked.clear()
        found = status(services, spec)
        assert len(asked) == few <= 6
    assert (found.done, found.failed, found.causes) == (30 * 99 + 10 * 50, 30, {"DecodeError": 30})
    assert [(slow.chunk, slow.done, slow.total) for slow in found.slow] == [(39, 50, 100)]


def test_a_run_that_stands_still_says_why_in_its_status(batchimg, made):
    run = made.job(made.run("standing"), "no-such-pool", task(0))
    shown = " ".join(re.sub("[│\n]", " ", batchimg("status", run, **made.environment).stdout).split())
    assert "Pool no-such-pool does not exist" in shown
    assert f"batchimg why {run}" in shown


def test_a_run_that_is_watched_says_why_once_it_stands_still_and_not_when_it_moves(made, monkeypatch):
    monkeypatch.setattr(still, "STILL_SECONDS", 0.0)
    run = made.job(made.run("watched"), "no-such-pool", task(0))
    with in_process(made) as services:
        spec = find_run(services, run)
        now = status(services, spec)
        moving = replace(now, chunks=replace(now.chunks, running=1))
        first, second, third = still.with_reasons(services, spec, [moving, now, moving])
    assert (first.note, third.note) == (None, None)
    assert second.note.startswith("Pool no-such-pool does not exist")
