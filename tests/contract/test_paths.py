"""Paths of manifests and results cannot lead out of their folder: refused in the contract, and again in storage."""

import json
import posixpath
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchimg_worker.contract import ImageEntry, Output, RunSpec, Source
from batchimg_worker.documents import parse
from batchimg_worker.errors import ContractError, StorageError
from batchimg_worker.paths import unsafe_path
from batchimg_worker.storage import BlobStore

HOSTILE = [
    "..", ".", "../a.png", "a/../../b.png", "/etc/passwd", "//server/share", "a//b.png", "a/./b.png", "a/..",
    "..\\a.png", "a\\..\\..\\b.png", "C:\\a.png", "C:/a.png", "c:a.png", "a\0.png", "\0", "a\nb.png", "a/", "\x7f.png",
]  # fmt: skip
PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "...", "a", "C:", "c:x", "%2e%2e", "..%2f", "~", "\\", "\0", "-", " .. ", "..\u200b"]
    ),
    st.text(max_size=6),
)


def entry(path: str) -> bytes:
    return json.dumps({"path": path, "size": 1}).encode()


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused_in_every_document(path):
    with pytest.raises(ContractError, match=r"runs/x: path: .*no safe path"):
        parse(ImageEntry, entry(path), "runs/x")
    output = {"variant": "v", "path": path, "size": 1, "md5": "0" * 32, "width": 1, "height": 1}
    with pytest.raises(ContractError):
        parse(Output, json.dumps(output), "runs/x")
    with pytest.raises(ContractError):
        parse(Source, json.dumps({"container": "inputs", "prefix": path if path != "a/" else "../"}), "runs/x")


@pytest.mark.parametrize("run", ["../x", "a/b", "", "..", "a b", "-x", "x" * 65, "a\n"])
def test_a_run_whose_name_is_no_folder_of_its_own_is_refused(run, golden_run):
    with pytest.raises(ContractError, match=r"run\.json: run: "):
        parse(RunSpec, json.dumps(golden_run | {"run": run}), "run.json")


@pytest.fixture(scope="module")
def golden_run():
    from pathlib import Path

    return json.loads((Path(__file__).parent / "golden" / "run-v1.json").read_text())


@given(st.lists(PARTS, min_size=1, max_size=5).map("/".join))
@example("a/%2e%2e/b")
@example("..%2f..%2fetc")
def test_whatever_is_accepted_stays_in_its_folder(store, path):
    if unsafe_path(path) is not None:
        return
    assert parse(ImageEntry, entry(path), "x").path == path
    assert posixpath.normpath(posixpath.join("/base", path)).startswith("/base/")
    url = urlsplit(store.container("outputs")._blob(f"run/variant/{path}").url)
    assert posixpath.normpath(url.path).startswith("/devstoreaccount1/outputs/run/variant/")


@pytest.mark.parametrize("path", ["run/../other/a", "run/./a", "..", "run\\..\\a"])
def test_storage_asks_for_no_blob_that_a_url_would_resolve_to_another(store, path):
    container = store.container("outputs")
    for action in (container.read, container.stat, container.delete, lambda path: container.write(path, b"")):
        with pytest.raises(StorageError, match="no path of a blob") as caught:
            action(path)
        assert caught.value.code == "UnsafePath"


@pytest.fixture(scope="module")
def store():
    """Nothing is sent to it."""
    made = BlobStore("http://127.0.0.1:9/devstoreaccount1", "bm9rZXk=")
    yield made
    made.close()
