"""The worker as a task runs it: the installed command, a run in real blob storage, and what it leaves there."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from batchimg_worker import blob_names, contract
from batchimg_worker.codec import decode
from batchimg_worker.contract import Attempt, ImageEntry, Limits, ManifestHeader, PartHeader, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.journal import leave
from batchimg_worker.recipe import recipe_from_ops
from batchimg_worker.storage import BlobStore

from blobs import beaten
from command_line import until
from made_images import noise
from slow_storage import slow_storage

WORKER = Path(sys.executable).with_name("batchimg-worker")


@dataclass
class Bench:
    """Blob storage, and a way to start the worker on a run that is written by hand."""

    store: BlobStore
    key: str

    def environment(self) -> dict[str, str]:
        return {**os.environ, "BATCHIMG_STORAGE_ENDPOINT": self.store.endpoint, "BATCHIMG_STORAGE_KEY": self.key}

    def write_run(self, run: str, folder: Path, **changes: object) -> list[str]:
        inputs, runs = self.store.container("inputs"), self.store.container("runs")
        files = sorted(folder.iterdir())
        for file in files:
            inputs.write(f"{run}/{file.name}", file.read_bytes())
        spec = RunSpec(
            run=run,
            plan_hash="0" * 64,
            dataset=str(folder),
            created=datetime.now(UTC),
            client_version="0",
            source=Source(container="inputs", prefix=f"{run}/"),
            recipe=recipe_from_ops(["flip=horizontal", "rotate=10"], None),
            limits=Limits(),
            images=len(files),
            bytes=1,
            chunks=1,
            rejected=0,
        )
        runs.write(blob_names.run_path(run), json.dumps({**json.loads(dump(spec)), **changes}).encode())
        lines = [dump(ManifestHeader(run=run, chunk=0, images=len(files), bytes=1))]
        lines += [dump(ImageEntry(path=file.name, size=file.stat().st_size)) for file in files]
        runs.write(blob_names.manifest_path(run, 0), b"\n".join(lines))
        return [file.name for file in files]

    def work(self, run: str, chunk: int = 0) -> subprocess.CompletedProcess[str]:
        command = [WORKER, "--run", run, "--chunk", str(chunk)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=self.environment(), timeout=60)

    def names(self, container: str, prefix: str) -> list[str]:
        return [blob.path for blob in self.store.container(container).list(prefix)]


@pytest.fixture(scope="module")
def bench(batchimg):
    stack = batchimg.stack()["stack"]
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield Bench(store, stack["storage_key"])
    store.close()


def test_a_chunk_becomes_pictures_and_one_record_an_image(bench, tmp_path):
    names = bench.write_run("plain", noise(tmp_path, 3))
    assert bench.work("plain").returncode == 0
    header, *records = bench.store.container("runs").read(blob_names.result_path("plain", 0)).splitlines()
    assert [json.loads(record)["path"] for record in records] == names
    assert json.loads(header)["done"] == 3
    assert len(bench.names("outputs", "plain/")) == 6


def test_a_second_delivery_of_a_task_changes_nothing(bench, tmp_path):
    bench.write_run("twice", noise(tmp_path, 2))
    assert bench.work("twice").returncode == 0
    before = {blob.path: blob.etag for c in ("runs", "outputs") for blob in bench.store.container(c).list("twice/")}
    for path in (
        blob_names.part_path,
        blob_names.hand_path,
        blob_names.heartbeat_path,
    ):  # as one that was killed leaves them
        bench.store.container("runs").write(path("twice", 0), b"left")
    again = bench.work("twice")
    assert again.returncode == 0
    assert "done already" in again.stderr
    after = {blob.path: blob.etag for c in ("runs", "outputs") for blob in bench.store.container(c).list("twice/")}
    assert before == after


def test_a_run_of_another_version_is_refused_before_an_image_is_touched(bench, tmp_path):
    bench.write_run("future", noise(tmp_path, 1), schema_version=2)
    refused = bench.work("future")
    assert refused.returncode == 64
    assert "schema_version 2" in refused.stderr
    assert bench.names("outputs", "future/") == []


FILM = Path(__file__).resolve().parents[2] / "samples" / "operations" / "film.py"
VIGNETTE = {
    "name": "film",
    "variants": [{"name": "old", "steps": [{"operation": "vignette", "parameters": {"strength": 0.5}}]}],
    "output": {"format": "same", "quality": 90},
    "measures": [],
}


def attachment(content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"kind": "operations", "name": "film.py", "size": len(content), "sha256": digest}


def place(bench, run: str, content: bytes, other: bytes | None = None) -> list[dict[str, object]]:
    """Put a file of operations beside a run; ``other`` is what really lies there."""
    one = attachment(content)
    path = blob_names.attachment_path(run, contract.Attachment.model_validate(one))
    bench.store.container("runs").write(path, content if other is None else other)
    return [one]


def test_the_run_s_own_operations_are_loaded_before_its_recipe_also_by_a_retry(bench, tmp_path):
    content = FILM.read_bytes()
    bench.write_run("film", noise(tmp_path, 2), recipe=VIGNETTE, attachments=place(bench, "film", content))
    for _ in range(2):
        done = bench.work("film")
        assert done.returncode == 0, done.stderr
        assert len(bench.names("outputs", "film/old/")) == 2
        bench.store.container("runs").delete(blob_names.result_path("film", 0))


@pytest.mark.parametrize(
    ("run", "content", "other", "words"),
    [
        ("film-changed", FILM.read_bytes(), FILM.read_bytes() + b"#", "is not the film.py that was submitted"),
        ("film-lacking", b"import nothing_like_it", None, "cannot load film.py, line 1: ModuleNotFoundError"),
        ("film-other", FILM.read_bytes().replace(b"def vignette", b"def dim"), None, "unknown operation 'vignette'"),
    ],
)
def test_operations_that_cannot_be_used_end_the_task_before_an_image_is_touched(
    bench, tmp_path, run, content, other, words
):
    bench.write_run(run, noise(tmp_path, 1), recipe=VIGNETTE, attachments=place(bench, run, content, other))
    refused = bench.work(run)
    assert refused.returncode == 65
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert bench.names("outputs", f"{run}/") == []


def test_a_plug_in_that_the_node_lacks_ends_the_task_with_what_to_do(bench, tmp_path):
    bench.write_run("plug-in", noise(tmp_path, 1), recipe=VIGNETTE)
    refused = bench.work("plug-in")
    assert refused.returncode == 65
    assert "this node cannot run the recipe: unknown operation 'vignette'" in refused.stderr
    assert "Install the package with it on the nodes" in refused.stderr


def test_a_field_that_this_worker_does_not_know_is_refused_as_another_version(bench, tmp_path):
    bench.write_run("field", noise(tmp_path, 1), colour="red")
    refused = bench.work("field")
    assert refused.returncode == 64
    assert "colour is not known to this batchimg" in refused.stderr


@pytest.mark.parametrize(("run", "chunk"), [("no-such-run", 0), ("plain-too", 7)])
def test_a_missing_run_or_manifest_is_a_broken_contract(bench, tmp_path, run, chunk):
    bench.write_run("plain-too", noise(tmp_path, 1))
    assert bench.work(run, chunk).returncode == 65


def test_a_manifest_of_another_chunk_is_a_broken_contract(bench, tmp_path):
    bench.write_run("mixed-up", noise(tmp_path, 1))
    runs = bench.store.container("runs")
    runs.write(blob_names.manifest_path("mixed-up", 1), runs.read(blob_names.manifest_path("mixed-up", 0)))
    refused = bench.work("mixed-up", 1)
    assert refused.returncode == 65
    assert "belongs to chunk 0" in refused.stderr


def test_an_original_that_is_gone_or_has_changed_is_a_record(bench, tmp_path):
    bench.write_run("changed", noise(tmp_path, 3))
    runs, inputs = bench.store.container("runs"), bench.store.container("inputs")
    inputs.delete("changed/0000.png")
    lines = runs.read(blob_names.manifest_path("changed", 0)).splitlines()
    lines[2] = dump(ImageEntry(path="0001.png", size=1, md5="0" * 32))
    runs.write(blob_names.manifest_path("changed", 0), b"\n".join(lines))
    assert bench.work("changed").returncode == 0
    records = [json.loads(line) for line in runs.read(blob_names.result_path("changed", 0)).splitlines()[1:]]
    assert [(r["status"], r.get("error_type")) for r in records] == [("failed", "InputError")] * 2 + [("done", None)]


def test_an_image_that_fails_in_one_variant_leaves_no_picture(bench, tmp_path):
    recipe = recipe_from_ops(["flip=horizontal", "crop=40x40"], None)
    folder = noise(tmp_path, 1, side=64)
    noise(folder, 1, side=20, name="small-{}.png")
    bench.write_run("partly", folder, recipe=json.loads(recipe.model_dump_json()))
    assert bench.work("partly").returncode == 0
    assert {name.rsplit("/", 1)[1] for name in bench.names("outputs", "partly/")} == {"0000.png"}


def test_a_task_that_is_told_to_stop_leaves_no_result_and_can_be_run_again(bench, tmp_path):
    bench.write_run("stopped", noise(tmp_path, 40, side=64))
    with slow_storage(bench.store.endpoint, "outputs/stopped/", 1.0) as slow:
        environment = bench.environment() | {"BATCHIMG_STORAGE_ENDPOINT": slow.endpoint}
        process = subprocess.Popen(
            [WORKER, "--run", "stopped", "--chunk", "0"], env=environment, stderr=subprocess.PIPE, text=True
        )
        until(lambda: bench.names("outputs", "stopped/"), "the first picture")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 143, errors
    assert bench.names("runs", "stopped/results/") == []
    assert bench.work("stopped").returncode == 0
    assert len(bench.names("outputs", "stopped/")) == 80


def test_a_task_that_is_told_to_stop_sends_its_records_before_the_image_in_hand_is_done(bench, tmp_path):
    bench.write_run("leaving", noise(tmp_path, 2))
    runs = bench.store.container("runs")
    with slow_storage(bench.store.endpoint, "outputs/leaving/flip-horizontal/0001", 60.0) as slow:
        environment = bench.environment() | {"BATCHIMG_STORAGE_ENDPOINT": slow.endpoint}
        guard = subprocess.Popen([WORKER, "--run", "leaving", "--chunk", "0"], env=environment)
        try:
            until(lambda: beaten(runs, "leaving", 0).get("done") == 1, "the first record")
            (worker,) = psutil.Process(guard.pid).children()
            guard.send_signal(signal.SIGSTOP)  # it is not the guard who sends them
            worker.terminate()
            until(lambda: beaten(runs, "leaving", 0)["state"] == "stopped", "the end of the records")
        finally:
            guard.kill()
            guard.wait(30)
    _, *records = runs.read(blob_names.part_path("leaving", 0)).splitlines()
    assert [json.loads(record)["path"] for record in records] == ["0000.png"]


def test_an_attempt_that_is_ended_before_its_first_heartbeat_is_gone_on_with_and_leaves_nothing(bench, tmp_path):
    bench.write_run("ended-early", noise(tmp_path / "images", 2))
    bench.write_run("calm", tmp_path / "images")
    assert bench.work("calm").returncode == 0
    runs, journal = bench.store.container("runs"), tmp_path / "journal.jsonl"
    first = Attempt(number=1, node="n", worker_version="0", started=datetime(2026, 1, 1, tzinfo=UTC))
    record = runs.read(blob_names.result_path("calm", 0)).splitlines()[1]
    journal.write_bytes(dump(PartHeader(run="ended-early", chunk=0, attempts=(first,))) + b"\n" + record + b"\n")
    leave(journal, runs, ("ended-early", 0))
    assert bench.names("runs", "ended-early/parts/") == [blob_names.part_path("ended-early", 0)]
    assert bench.work("ended-early").returncode == 0
    header, *records = map(json.loads, runs.read(blob_names.result_path("ended-early", 0)).splitlines())
    assert [attempt["number"] for attempt in header["attempts"]] == [1, 2]
    assert sorted(one["attempt"] for one in records) == [1, 2]
    assert [bench.names("runs", f"ended-early/{left}/") for left in ("parts", "heartbeats", "hands")] == [[], [], []]


def test_storage_that_refuses_the_key_ends_the_task_with_a_message(bench, tmp_path):
    bench.write_run("locked", noise(tmp_path, 1))
    environment = {**bench.environment(), "BATCHIMG_STORAGE_KEY": "d3Jvbmc="}
    command = [WORKER, "--run", "locked", "--chunk", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 69
    assert "signing in failed" in done.stderr or "AuthorizationFailure" in done.stderr
    assert "d3Jvbmc=" not in done.stderr


def test_images_in_tiles_become_the_same_pictures_and_say_so(bench, tmp_path):
    folder = noise(tmp_path, 2)
    tiles = {"max_megapixels": 200.0, "memory_mb": 512, "tiles": 64}
    whole_names, tiled_names = bench.write_run("whole", folder), bench.write_run("tiled", folder, limits=tiles)
    assert whole_names == tiled_names
    assert bench.work("whole").returncode == bench.work("tiled").returncode == 0
    outputs = bench.store.container("outputs")
    for path in bench.names("outputs", "tiled/flip-horizontal/"):
        mirrored = decode(outputs.read(path.replace("tiled/", "whole/", 1))).array
        assert np.array_equal(decode(outputs.read(path)).array, mirrored)
    _, *records = bench.store.container("runs").read(blob_names.result_path("tiled", 0)).splitlines()
    assert len(records) == len(tiled_names)
    for record in map(json.loads, records):
        assert (record["status"], record["notes"][0]) == ("done", "in tiles")
        assert all(outputs.stat(f"tiled/{one['variant']}/{one['path']}") for one in record["outputs"])


def test_an_original_that_does_not_fit_into_memory_is_worked_on_from_disk(bench, tmp_path):
    tifffile.imwrite(tmp_path / "huge.tif", np.full((11_000, 6_000), 7, np.uint8))
    recipe = json.loads(dump(recipe_from_ops(["flip=vertical", "thumbnail=100"])))
    limits = {"max_megapixels": 200.0, "memory_mb": 512}
    bench.write_run("huge", tmp_path, limits=limits, recipe=recipe)
    assert bench.work("huge").returncode == 0
    header, record = map(json.loads, bench.store.container("runs").read(blob_names.result_path("huge", 0)).splitlines())
    assert (record["status"], record["notes"][0]) == ("done", "in tiles")
    assert header["peak_memory_bytes"] < 400 << 20
    small = decode(bench.store.container("outputs").read("huge/thumbnail-100/huge.tif")).array
    assert small.shape == (100, 55)
    assert (small == 7).all()
