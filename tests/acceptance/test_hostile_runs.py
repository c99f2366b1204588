"""What somebody else may have written into blob storage or into a folder leads no write out of it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchimg.connect import Services, connect
from batchimg.download import MARK, PARTS, Folder, download
from batchimg.errors import InputError
from batchimg.events import Told
from batchimg.runs import all_runs, find_run
from batchimg.settings import load_settings
from batchimg_worker.blob_names import result_path, run_path
from batchimg_worker.contract import ImageResult, Output, ResultHeader
from batchimg_worker.documents import dump

from made_images import noise

GOLDEN = Path(__file__).parents[1] / "contract" / "golden" / "run-v1.json"
PICTURE = b"pixels"


@pytest.fixture(scope="module")
def services(batchimg):
    stack = batchimg.stack()["stack"]
    names = {
        "batch_endpoint": stack["batch_endpoint"],
        "batch_account": stack["batch_account"],
        "batch_key": stack["batch_key"],
        "storage_endpoint": stack["blob_endpoint"],
        "storage_key": stack["storage_key"],
    }
    with connect(load_settings(None, **names)) as found:
        yield found


def written(services: Services, run: str, path: str = "a.png", **changes: object):
    """A finished run of one picture; ``changes`` are made in its record, which is not checked."""
    services.runs.write(run_path(run), json.dumps(json.loads(GOLDEN.read_text()) | {"run": run}).encode())
    services.outputs.write(f"{run}/flip-vertical/{path}", PICTURE)
    header = ResultHeader(
        run=run,
        chunk=0,
        worker_version="0",
        node="n",
        started=datetime.now(UTC),
        finished=datetime.now(UTC),
        done=1,
        failed=0,
        bytes_in=1,
        bytes_out=1,
        peak_memory_bytes=1,
    )
    output = Output(variant="flip-vertical", path=path, size=6, md5="0" * 32, width=1, height=1)
    record = json.loads(dump(ImageResult(path=path, size=1, status="done", outputs=(output,)))) | changes
    services.runs.write(result_path(run, 0), dump(header) + b"\n" + json.dumps(record).encode())
    return find_run(services, run)


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    yield folder
    assert files(folder) == ["precious"]
    assert (folder / "precious").read_text() == "mine"


def test_a_link_in_the_folder_that_leads_out_of_it_is_refused(services, tmp_path, outside):
    spec = written(services, "linked")
    for number, link in enumerate(["flip-vertical", PARTS]):
        to = tmp_path / f"to-{number}"
        to.mkdir()
        (to / link).symlink_to(outside)
        with pytest.raises(InputError, match="link"):
            download(services, spec, Folder(to))


def test_a_deep_link_is_refused_before_a_folder_is_made_behind_it(services, tmp_path, outside):
    spec = written(services, "deep", "a/b/c/d.png")
    (tmp_path / "to" / "flip-vertical" / "a").mkdir(parents=True)
    (tmp_path / "to" / "flip-vertical" / "a" / "b").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        download(services, spec, Folder(tmp_path / "to"))


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(services, tmp_path, outside):
    spec = written(services, "file-link")
    to = tmp_path / "to"
    (to / "flip-vertical").mkdir(parents=True)
    (to / "flip-vertical" / "a.png").symlink_to(outside / "precious")
    (to / "results.jsonl").symlink_to(outside / "precious")
    (to / MARK).symlink_to(outside / "precious")
    download(services, spec, Folder(to))
    assert (to / "flip-vertical" / "a.png").read_bytes() == PICTURE
    assert not (to / "results.jsonl").is_symlink()


def test_a_link_that_stays_in_the_folder_and_a_folder_that_is_a_link_are_the_users_own(services, tmp_path):
    spec = written(services, "inner")
    (tmp_path / "real" / "elsewhere").mkdir(parents=True)
    (tmp_path / "real" / "flip-vertical").symlink_to("elsewhere")
    (tmp_path / "to").symlink_to(tmp_path / "real")
    download(services, spec, Folder(tmp_path / "to"))
    assert (tmp_path / "real" / "elsewhere" / "a.png").read_bytes() == PICTURE


@pytest.mark.parametrize("path", ["../../evil.png", "/etc/evil.png", "..\\evil.png", "C:\\evil.png", "a\0.png"])
def test_a_hostile_result_is_told_and_nothing_is_written_beside_the_folder(services, tmp_path, path):
    output = {"variant": "flip-vertical", "path": path, "size": 1, "md5": "0" * 32, "width": 1, "height": 1}
    spec = written(services, "hostile", outputs=[output])
    told: list = []
    assert download(services, spec, Folder(tmp_path / "to"), observer=told.append).damaged == 1
    assert any("no safe path" in event.text for event in told if isinstance(event, Told))
    assert (tmp_path / "to" / "results.jsonl").read_bytes() == b""
    inside = ["flip-vertical", "flip-vertical/a.png", "results.jsonl"]
    assert files(tmp_path) == ["to", "to/.batchimg-run", *(f"to/{name}" for name in inside)]


def test_a_run_that_calls_itself_a_path_is_not_taken_for_one(batchimg, services, tmp_path):
    document = json.loads(GOLDEN.read_text()) | {"run": "../../evil"}
    services.runs.write(run_path("trap"), json.dumps(document).encode())
    try:
        refused = batchimg("gallery", "trap", expect=3, cwd=tmp_path)
        assert "run: String should match pattern" in refused.stderr
    finally:
        services.runs.delete(run_path("trap"))
    assert files(tmp_path) == []


PLUGIN = """
import pathlib
pathlib.Path({marker!r}).write_text("run")
from batchimg_worker.operations import operation

@operation()
def strange(image):
    "Do nothing."
    return image
"""


def test_the_code_of_a_plug_in_is_run_only_where_a_recipe_names_it(batchimg, tmp_path):
    marker, site = tmp_path / "marker", tmp_path / "site"
    (site / "strange_ops-1.dist-info").mkdir(parents=True)
    (site / "strange_ops.py").write_text(PLUGIN.format(marker=str(marker)))
    (site / "strange_ops-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-ops\nVersion: 1\n")
    entry = "[batchimg.operations]\nstrange = strange_ops\n"
    (site / "strange_ops-1.dist-info" / "entry_points.txt").write_text(entry)
    image = noise(tmp_path / "images", 1) / "0000.png"
    batchimg("preview", image, "--op", "flip=vertical", "--to", tmp_path / "one", PYTHONPATH=str(site))
    worker = Path(sys.executable).with_name("batchimg-worker")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([worker, "--version"], check=True, env=environment, capture_output=True, timeout=60)
    assert not marker.exists()
    batchimg("preview", image, "--op", "strange", "--to", tmp_path / "two", PYTHONPATH=str(site))
    assert marker.read_text() == "run"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff\xfe"])
def test_a_damaged_run_is_told_and_the_others_are_listed(services, content):
    written(services, "whole-one")
    services.runs.write(run_path("damaged-one"), content)
    told = []
    try:
        assert "whole-one" in [spec.run for spec in all_runs(services, told.append)]
    finally:
        services.runs.delete(run_path("damaged-one"))
    assert [event.text.startswith("Left out: damaged-one/run.json") for event in told] == [True]
