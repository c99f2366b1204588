import http.server
import threading

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError


@pytest.fixture
def written(bench):
    """A job whose task wrote some files."""
    job_id = bench.job(bench.pool())
    bench.run(
        job_id,
        "a",
        "/bin/sh -c 'printf 0123456789; mkdir -p deep/er; echo x > deep/er/f.txt; ln -s /etc/passwd link; ln -s / all'",
    )
    return job_id


def test_files_are_listed_with_and_without_their_folders(client, written):
    assert [file.name for file in client.list_task_files(written, "a")] == ["stderr.txt", "stdout.txt", "wd"]
    everything = {file.name: file for file in client.list_task_files(written, "a", recursive=True)}
    assert set(everything) == {"stderr.txt", "stdout.txt", "wd", "wd/deep", "wd/deep/er", "wd/deep/er/f.txt"}
    assert everything["wd"].is_directory
    assert everything["stdout.txt"].properties.content_length == 10
    found = client.list_task_files(written, "a", recursive=True, filter="startswith(name,'wd/deep/er/')")
    assert [file.name for file in found] == ["wd/deep/er/f.txt"]


def test_a_file_is_had_whole_and_in_parts(client, written):
    def get(path, **more):
        return b"".join(client.download_task_file(written, "a", path, **more))

    assert get("stdout.txt") == b"0123456789"
    assert get("stdout.txt", ocp_range="bytes=2-4") == b"234"
    assert get("stdout.txt", ocp_range="bytes=7-") == b"789"
    assert get("wd/deep/er/f.txt") == b"x\n"


def test_a_plain_range_is_answered_with_206(account, written):
    answer = account.send("GET", f"/jobs/{written}/tasks/a/files/stdout.txt", headers={"range": "bytes=-3"})
    assert (answer.status, answer.content, answer.headers["content-range"]) == (206, b"789", "bytes 7-9/10")
    beyond = account.send("GET", f"/jobs/{written}/tasks/a/files/stdout.txt", headers={"range": "bytes=10-"})
    assert (beyond.status, beyond.code) == (416, "InvalidRange")


def test_properties_of_a_file(client, written):
    found = client.get_task_file_properties(written, "a", "stdout.txt")
    assert (found.content_length, found.is_directory) == (10, False)
    assert found.url.endswith(f"/jobs/{written}/tasks/a/files/stdout.txt")
    assert found.file_mode.startswith("0o100")


@pytest.mark.parametrize(
    "path",
    [
        "nope",
        "../a/stdout.txt",
        "wd/../../../../x",
        "%2e%2e/%2e%2e/x",
        "..%2f..%2fx",
        "wd/link",
        "wd/all/etc/passwd",
        "%00",
    ],
)
def test_nothing_outside_of_the_task_can_be_read_or_deleted(account, written, path):
    for method in ("GET", "HEAD", "DELETE"):
        answer = account.send(method, f"/jobs/{written}/tasks/a/files/{path}")
        assert answer.status == 404
        assert method == "HEAD" or answer.code == "FileNotFound"


def test_files_are_deleted(client, written):
    client.delete_task_file(written, "a", "stdout.txt")
    with pytest.raises(ResourceNotFoundError):
        client.get_task_file_properties(written, "a", "stdout.txt")
    with pytest.raises(HttpResponseError):
        client.delete_task_file(written, "a", "wd/deep")
    client.delete_task_file(written, "a", "wd/deep", recursive=True)
    assert not [f for f in client.list_task_files(written, "a", recursive=True) if "deep" in f.name]


def test_files_of_a_node_are_had_too(client, written):
    node = client.get_task(written, "a").node_info
    path = f"{node.task_root_directory}/stdout.txt"
    assert b"".join(client.download_node_file(node.pool_id, node.node_id, path)) == b"0123456789"
    assert client.get_node_file_properties(node.pool_id, node.node_id, path).content_length == 10
    client.delete_node_file(node.pool_id, node.node_id, path)
    assert "stdout.txt" not in [file.name for file in client.list_task_files(written, "a")]


def test_a_task_that_has_not_run_has_no_files(client, bench):
    job_id = bench.job()
    bench.task(job_id, "a", "x")
    with pytest.raises(HttpResponseError) as caught:
        list(client.list_task_files(job_id, "a"))
    assert caught.value.error.code == "TaskFilesUnavailable"


def test_files_go_when_their_retention_time_is_over(client, bench):
    job_id = bench.job(bench.pool())
    limits = models.BatchTaskConstraints(retention_time="PT0.1S")
    bench.run(job_id, "a", "/bin/true", constraints=limits)

    def gone():
        try:
            return not list(client.list_task_files(job_id, "a"))
        except HttpResponseError as error:
            return error.error.code == "TaskFilesUnavailable"

    bench.until(gone, "the end of the retention time")


@pytest.fixture
def source():
    """A web server that has one file."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/in.txt?sig=abc"
            self.send_response(200 if found else 404)
            self.send_header("content-length", "5" if found else "0")
            self.end_headers()
            self.wfile.write(b"hello" if found else b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_resource_files_are_there_when_the_task_starts(bench, source):
    job_id = bench.job(bench.pool())
    file = models.ResourceFile(http_url=f"{source}/in.txt?sig=abc", file_path="in/put.txt", file_mode="0640")
    bench.run(job_id, "a", "/bin/sh -c 'cat in/put.txt; stat -c %a in/put.txt'", resource_files=[file])
    assert bench.text(job_id, "a") == "hello640\n"


def test_a_missing_resource_file_fails_its_task_without_a_retry(bench, source):
    file = models.ResourceFile(http_url=f"{source}/nope?sig=secret", file_path="x")
    limits = models.BatchTaskConstraints(max_task_retry_count=3)
    done = bench.run(bench.job(bench.pool()), "a", "/bin/true", resource_files=[file], constraints=limits)
    failure = done.execution_info.failure_info
    assert (failure.code, done.execution_info.retry_count) == ("BlobNotFound", 0)
    assert "secret" not in str(failure.as_dict())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.com/x", "../x"),
        ("https://example.com/x", "/etc/x"),
        ("http://example.com/x", "x"),
        ("file:///etc/passwd", "x"),
    ],
)
def test_resource_files_that_could_do_harm_are_refused(bench, url, path):
    with pytest.raises(HttpResponseError) as caught:
        bench.task(bench.job(), "a", "x", resource_files=[models.ResourceFile(http_url=url, file_path=path)])
    assert caught.value.error.code == "InvalidPropertyValue"
