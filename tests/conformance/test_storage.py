"""What nodes fetch from storage and bring there: a small blob service on loopback stands for the real one."""

import base64
import contextlib
import http.server
import threading
import urllib.parse
import zipfile
from xml.sax.saxutils import escape

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from batch_emulator.account import Settings
from batch_emulator.server import running_in_thread
from batch_emulator.storage_rest import BLOCK, Identity

KEY = base64.b64encode(b"k" * 32).decode()
SIGNATURE = "sig=abc%2B"
PAGE = 2


class BlobService(http.server.BaseHTTPRequestHandler):
    """Containers `open` (anybody), `shut` (SAS or Shared Key); get, list in pages of two, put, put block."""

    protocol_version = "HTTP/1.1"

    def _parts(self):
        url = urllib.parse.urlsplit(self.path)
        names = [urllib.parse.unquote(part) for part in url.path.split("/", 3)[2:]]
        return names[0], names[1] if len(names) > 1 else "", dict(urllib.parse.parse_qsl(url.query))

    def _allowed(self, container, query, *, write):
        if query.get("sig") == "abc+" or (container == "open" and not write):
            return True
        headers = {name.lower(): value for name, value in self.headers.items()}
        signed = headers.pop("authorization", "")
        identity = Identity(f"http://{headers['host']}/acc", KEY)
        return signed == identity.authorization(self.command, f"http://{headers['host']}{self.path}", headers)

    def _answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        container, name, query = self._parts()
        blobs = self.server.containers.get(container)
        if not self._allowed(container, query, write=False):
            self._answer(403, headers=[("x-ms-error-code", "AuthorizationFailure")])
        elif blobs is None or (name and name not in blobs):
            self._answer(404)
        elif name:
            self._answer(200, blobs[name][0])
        else:
            self._answer(200, self._listing(blobs, query))

    @staticmethod
    def _listing(blobs, query):
        names = [name for name in sorted(blobs) if name.startswith(query.get("prefix", ""))]
        names = [name for name in names if name > query.get("marker", "")]
        items = "".join(f"<Blob><Name>{escape(name)}</Name></Blob>" for name in names[:PAGE])
        more = escape(names[PAGE - 1]) if len(names) > PAGE else ""
        return (
            f"<EnumerationResults><Blobs>{items}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>".encode()
        )

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        container, name, query = self._parts()
        blobs = self.server.containers.get(container)
        if not self._allowed(container, query, write=True):
            self._answer(403)
        elif blobs is None:
            self._answer(404)
        elif query.get("comp") == "block":
            self.server.blocks[query["blockid"]] = body
            self._answer(201)
        else:
            if query.get("comp") == "blocklist":
                order = body.decode().split("<Latest>")[1:]
                body = b"".join(self.server.blocks[entry.partition("<")[0]] for entry in order)
            blobs[name] = (body, self.headers.get("x-ms-blob-content-type"))
            self._answer(201)

    def log_message(self, *_):
        pass


@pytest.fixture
def storage():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BlobService)
    server.daemon_threads = True
    server.containers = {"open": {}, "shut": {}}
    server.blocks = {}
    server.url = f"http://127.0.0.1:{server.server_port}/acc"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stored(storage, tmp_path, request):
    """A bench of an emulator that knows the storage account, and a folder of applications."""
    conftest = request.getfixturevalue("bench").__class__
    account_class = request.getfixturevalue("account").__class__
    (tmp_path / "apps/tool").mkdir(parents=True)
    environment = {"BATCHIMG_STORAGE_ENDPOINT": storage.url, "BATCHIMG_STORAGE_KEY": KEY}
    settings = Settings(
        node_delay=0.01,
        node_environment=environment,
        auto_storage=storage.url,
        applications=tmp_path / "apps",
    )
    with running_in_thread(settings) as server, contextlib.ExitStack() as stack:
        credentials = server.emulator.credentials
        account = account_class(server.emulator.account.url, credentials.account, credentials.key)
        bench = conftest(stack.enter_context(account.client()))
        yield bench
        bench.clean()


def output(pattern, url, condition="taskcompletion", **more):
    container = models.OutputFileBlobContainerDestination(container_url=url, **more)
    return models.OutputFile(
        file_pattern=pattern,
        destination=models.OutputFileDestination(container=container),
        upload_options=models.OutputFileUploadConfiguration(upload_condition=condition),
    )


def test_a_container_is_fetched_with_its_folders(stored, storage):
    storage.containers["open"] |= {f"in/{name}": (name.encode(), None) for name in ("a", "b", "deep/c", "d & e")}
    storage.containers["open"]["other"] = (b"", None)
    files = [models.ResourceFile(storage_container_url=f"{storage.url}/open", blob_prefix="in/", file_path="data")]
    job_id = stored.job(stored.pool())
    stored.run(job_id, "a", "/bin/sh -c 'find . -type f | sort; cat data/in/deep/c'", resource_files=files)
    assert stored.text(job_id, "a") == "./data/in/a\n./data/in/b\n./data/in/d & e\n./data/in/deep/c\ndeep/c"


def test_a_signed_url_an_identity_and_auto_storage_open_a_container(stored, storage):
    storage.containers["shut"]["x"] = (b"hello", None)
    identity = models.BatchNodeIdentityReference(resource_id="/subscriptions/x")
    job_id = stored.job(stored.pool())
    for number, file in enumerate(
        (
            models.ResourceFile(storage_container_url=f"{storage.url}/shut?{SIGNATURE}"),
            models.ResourceFile(storage_container_url=f"{storage.url}/shut", identity_reference=identity),
            models.ResourceFile(auto_storage_container_name="shut"),
            models.ResourceFile(http_url=f"{storage.url}/shut/x", file_path="x", identity_reference=identity),
        )
    ):
        stored.run(job_id, str(number), "/bin/sh -c 'cat x; stat -c %a x'", resource_files=[file])
        assert stored.text(job_id, str(number)) == "hello770\n"


@pytest.mark.parametrize(
    ("name", "code"), [("shut", "ResourceContainerAccessDenied"), ("none", "ResourceContainerAccessDenied")]
)
def test_a_container_that_does_not_open_fails_its_task(stored, storage, name, code):
    files = [models.ResourceFile(storage_container_url=f"{storage.url}/{name}")]
    limits = models.BatchTaskConstraints(max_task_retry_count=3)
    done = stored.run(stored.job(stored.pool()), "a", "/bin/true", resource_files=files, constraints=limits)
    failure = done.execution_info.failure_info
    assert (failure.code, failure.category, done.execution_info.retry_count) == (code, "usererror", 0)


def test_a_container_that_is_not_there_is_told_from_one_that_is_shut(stored, storage):
    files = [models.ResourceFile(storage_container_url=f"{storage.url}/none?{SIGNATURE}")]
    done = stored.run(stored.job(stored.pool()), "a", "/bin/true", resource_files=files)
    assert done.execution_info.failure_info.code == "ResourceContainerNotFound"


def test_a_blob_cannot_lead_out_of_the_task(stored, storage):
    storage.containers["open"]["../../x"] = (b"bad", None)
    files = [models.ResourceFile(storage_container_url=f"{storage.url}/open")]
    done = stored.run(stored.job(stored.pool()), "a", "/bin/true", resource_files=files)
    assert done.execution_info.failure_info.code == "BlobDownloadMiscError"


def test_a_resource_file_needs_exactly_one_source(stored, storage):
    job_id = stored.job()
    two = models.ResourceFile(
        http_url=f"{storage.url}/open/a", storage_container_url=f"{storage.url}/open", file_path="a"
    )
    for file in (two, models.ResourceFile(file_path="a"), models.ResourceFile(http_url=f"{storage.url}/open/a")):
        with pytest.raises(HttpResponseError) as caught:
            stored.task(job_id, "a", "x", resource_files=[file])
        assert caught.value.error.code == "InvalidPropertyValue"


def test_output_files_go_where_their_patterns_say(stored, storage):
    url = f"{storage.url}/shut?{SIGNATURE}"
    command = "/bin/sh -c 'mkdir -p d/e; for f in a.txt b.log .h.txt d/c.txt d/e/f.txt; do echo $f > $f; done'"
    outputs = [
        output("../std*.txt", url, path="logs"),
        output("**/*.txt", url, path="all"),
        output("d/*.txt", url, path="one"),
        output("$AZ_BATCH_TASK_WORKING_DIR/[ab].*", url, path="absolute"),
        output("b.log", url, path="renamed.log"),
        output("b.log", url),
        output("nothing/*.png", url),
    ]
    done = stored.run(stored.job(stored.pool()), "a", command, output_files=outputs)
    assert done.execution_info.result == "success"
    assert set(storage.containers["shut"]) == {
        "logs/stdout.txt",
        "logs/stderr.txt",
        "all/a.txt",
        "all/d/c.txt",
        "all/d/e/f.txt",
        "one/c.txt",
        "absolute/a.txt",
        "absolute/b.log",
        "renamed.log",
        "b.log",
    }
    assert storage.containers["shut"]["all/d/e/f.txt"][0] == b"d/e/f.txt\n"


@pytest.mark.parametrize(("code", "kept"), [(0, {"completion", "success"}), (3, {"completion", "failure"})])
def test_output_files_have_conditions(stored, storage, code, kept):
    url = f"{storage.url}/shut?{SIGNATURE}"
    outputs = [
        output("../stdout.txt", url, condition, path=condition.removeprefix("task"))
        for condition in ("taskcompletion", "tasksuccess", "taskfailure")
    ]
    done = stored.run(stored.job(stored.pool()), "a", f"/bin/sh -c 'exit {code}'", output_files=outputs)
    assert done.execution_info.exit_code == code
    assert set(storage.containers["shut"]) == kept


def test_a_large_output_goes_in_blocks_and_with_its_headers(stored, storage):
    size = BLOCK * 2 + 5
    identity = models.BatchNodeIdentityReference(resource_id="/subscriptions/x")
    headers = [models.OutputFileUploadHeader(name="x-ms-blob-content-type", value="image/x")]
    outputs = [output("big", f"{storage.url}/shut", identity_reference=identity, upload_headers=headers)]
    command = f"/bin/sh -c 'head -c {size} /dev/zero > big'"
    done = stored.run(stored.job(stored.pool()), "a", command, output_files=outputs)
    assert done.execution_info.result == "success"
    assert (len(storage.containers["shut"]["big"][0]), storage.containers["shut"]["big"][1]) == (size, "image/x")
    assert len(storage.blocks) == 3


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("shut", "FileUploadAccessDenied"),
        (f"none?{SIGNATURE}", "FileUploadContainerNotFound"),
    ],
)
def test_an_upload_that_fails_fails_its_task_without_a_retry(stored, storage, place, code):
    limits = models.BatchTaskConstraints(max_task_retry_count=3)
    outputs = [output("../stdout.txt", f"{storage.url}/{place}")]
    job_id = stored.job(stored.pool())
    done = stored.run(job_id, "a", "/bin/true", output_files=outputs, constraints=limits).execution_info
    assert (done.failure_info.code, done.result, done.exit_code, done.retry_count) == (code, "failure", 0, 0)
    assert "sig=" not in str(done.failure_info.as_dict())
    assert code in stored.text(job_id, "a", "fileuploaderr.txt")


def package(tmp_path, version, name="bin/tool", content="#!/bin/sh\necho tool\n"):
    with zipfile.ZipFile(tmp_path / f"apps/tool/{version}.zip", "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, content)


def test_applications_are_listed_and_unpacked(stored, tmp_path):
    for version in ("1.9", "1.10"):
        package(tmp_path, version, content=f"#!/bin/sh\necho {version}\n")
    client = stored.client
    assert [(app.id, app.versions) for app in client.list_applications()] == [("tool", ["1.9", "1.10"])]
    assert client.get_application("tool").display_name == "tool"
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_application("none")
    assert caught.value.error.code == "ApplicationNotFound"
    references = [
        models.BatchApplicationPackageReference(application_id="tool"),
        models.BatchApplicationPackageReference(application_id="tool", version="1.9"),
    ]
    job_id = stored.job(stored.pool())
    command = "/bin/sh -c '$AZ_BATCH_APP_PACKAGE_tool/bin/tool; $AZ_BATCH_APP_PACKAGE_tool_1_9/bin/tool'"
    stored.run(job_id, "a", command, application_package_references=references)
    assert stored.text(job_id, "a") == "1.10\n1.9\n"


def test_the_packages_of_a_pool_are_there_for_start_task_and_tasks_alike(stored, tmp_path):
    package(tmp_path, "1", content="#!/bin/sh\necho one > $AZ_BATCH_NODE_SHARED_DIR/said\n")
    reference = models.BatchApplicationPackageReference(application_id="tool", version="1")
    start = models.BatchStartTask(command_line="/bin/sh -c '$AZ_BATCH_APP_PACKAGE_tool_1/bin/tool'")
    pool_id = stored.pool(application_package_references=[reference], start_task=start)
    job_id = stored.job(pool_id)
    stored.run(job_id, "a", "/bin/sh -c 'cat $AZ_BATCH_NODE_SHARED_DIR/said; ls $AZ_BATCH_APP_PACKAGE_tool_1'")
    assert stored.text(job_id, "a") == "one\nbin\n"
    none = models.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
    stored.client.replace_pool_properties(pool_id, none)
    stored.run(job_id, "b", "/bin/sh -c 'ls $AZ_BATCH_APP_PACKAGE_tool_1'")
    assert stored.text(job_id, "b") == "bin\n"  # until the node is rebooted


def test_a_node_whose_packages_cannot_be_installed_is_unusable(stored, tmp_path):
    (tmp_path / "apps/tool/1.zip").write_bytes(b"no archive")
    reference = models.BatchApplicationPackageReference(application_id="tool")
    pool_id = stored.pool(wait=False, application_package_references=[reference])
    client = stored.client
    (node,) = stored.until(lambda: [node for node in client.list_nodes(pool_id) if node.state == "unusable"])
    assert [error.code for error in node.errors] == ["ApplicationPackageError"]


def test_without_a_version_the_default_one_is_meant(stored, tmp_path):
    for version in ("1", "2"):
        package(tmp_path, version, content=f"#!/bin/sh\necho {version}\n")
    (tmp_path / "apps/tool/default").write_text("1\n")
    references = [models.BatchApplicationPackageReference(application_id="tool")]
    job_id = stored.job(stored.pool())
    command = "/bin/sh -c '$AZ_BATCH_APP_PACKAGE_tool/bin/tool'"
    stored.run(job_id, "a", command, application_package_references=references)
    assert stored.text(job_id, "a") == "1\n"
    (tmp_path / "apps/tool/default").write_text("3")
    done = stored.run(job_id, "b", command, application_package_references=references)
    assert done.execution_info.failure_info.code == "ApplicationPackageInstallFailed"
    with pytest.raises(HttpResponseError) as caught:
        stored.pool(wait=False, application_package_references=references)
    assert (caught.value.status_code, caught.value.error.code) == (409, "InvalidApplicationPackageReferences")


def test_a_pool_refers_to_ten_packages_at_most(stored, tmp_path):
    package(tmp_path, "1")
    references = [models.BatchApplicationPackageReference(application_id="tool")] * 11
    with pytest.raises(HttpResponseError) as caught:
        stored.pool(wait=False, application_package_references=references)
    assert caught.value.error.code == "InvalidPropertyValue"


def test_a_package_that_is_not_there_is_refused(stored):
    references = [models.BatchApplicationPackageReference(application_id="tool", version="7")]
    with pytest.raises(HttpResponseError) as caught:
        stored.task(stored.job(), "a", "x", application_package_references=references)
    assert caught.value.error.code == "InvalidApplicationPackageReferences"


def test_a_package_cannot_lead_out_of_its_folder(stored, tmp_path):
    package(tmp_path, "1", name="../../../evil")
    references = [models.BatchApplicationPackageReference(application_id="tool", version="1")]
    job_id = stored.job(stored.pool())
    done = stored.run(job_id, "a", "/bin/true", application_package_references=references)
    assert done.execution_info.failure_info.code == "ApplicationPackageInstallFailed"


def test_a_task_with_container_settings_is_a_plain_process_and_says_so(stored):
    settings = models.BatchTaskContainerSettings(image_name="ubuntu")
    job_id = stored.job(stored.pool())
    done = stored.run(job_id, "a", "", container_settings=settings)
    assert (done.execution_info.result, done.container_settings.image_name) == ("success", "ubuntu")
    assert "plain process" in done.execution_info.container_info.state
