"""One huge image over several tasks, on the local stack: bands, and a task that joins them."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile

from batchimg_worker import blob_names, parts, pipeline, ranged
from batchimg_worker.codec import DecodeLimits
from batchimg_worker.contract import Band, ImageEntry, Limits, ManifestHeader, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.errors import BandsMissing, StorageError
from batchimg_worker.guard import Turn
from batchimg_worker.hand import Hand
from batchimg_worker.node import Node
from batchimg_worker.recipe import recipe_from_ops
from batchimg_worker.storage import BlobStore, Container
from batchimg_worker.task import run_task
from batchimg_worker.tiles.process import Room, process_any

from command_line import until

WORKER = Path(sys.executable).with_name("batchimg-worker")
OP = "rotate=5 | blur=sigma:4"
BANDS_MISSING = 66


def picture(height, width):
    """Noise as a tiled TIFF."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, tile=(128, 128), compression="zlib", photometric="rgb")
    return target.getvalue()


def torn(whole):
    """The same without the pixels of its last tile."""
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        page = file.pages.first
        place, count = page.dataoffsets[-1], page.databytecounts[-1]
    return whole[:place] + bytes(count) + whole[place + count :]


def done_by_one_task(data, folder):
    """The file that a task makes of a whole image."""
    (made,) = process_any(data, recipe_from_ops([OP]), Room(DecodeLimits(), "always", folder)).outputs
    return made.encoded.data.read_bytes()


@pytest.fixture
def store(batchimg):
    stack = batchimg.stack()["stack"]
    found = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield found
    found.close()


def test_one_image_is_done_by_several_tasks_and_has_one_record(batchimg, store, tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    whole = picture(1500, 1200)
    (folder / "huge.tif").write_bytes(whole)
    (folder / "torn.tif").write_bytes(torn(picture(400, 128)))
    split = ("--op", OP, "--tiles", "always", "--split", 3)
    status = batchimg.submit(folder, *split, expect=1)
    run = status["run"]
    assert (status["images"], status["done"], status["failed"], status["chunks"]["done"]) == (2, 1, 1, 7)
    rows = [json.loads(line) for line in batchimg("ledger", run, "--json").stdout.splitlines()]
    states = {row["path"]: (row["status"], row["chunk"], row.get("error_type")) for row in rows}
    assert len(rows) == 2
    assert states == {"huge.tif": ("done", 3, None), "torn.tif": ("failed", 6, "DecodeError")}
    (failed,) = (row for row in rows if row["status"] == "failed")
    assert failed["message"].startswith("band 2 of 2: damaged")
    runs = store.container("runs")
    assert until(lambda: not list(runs.list(f"{run}/bands/")), "the end of the bands")
    batchimg("download", run, "--to", tmp_path / "out")
    files = list((tmp_path / "out").rglob("*.tif"))
    assert [file.read_bytes() for file in files] == [done_by_one_task(whole, tmp_path)]
    again = json.loads(batchimg("retry", run, "--plan", "--json").stdout)
    assert (again["images"], again["tasks"], again["split"]) == (1, 3, {"torn.tif": 2})


def write_run(store, run, data):
    """A run of one image in two bands, in chunks 0 and 1, that chunk 2 joins."""
    runs = store.container("runs")
    store.container("inputs").write(f"{run}/a.tif", data)
    spec = RunSpec(
        run=run,
        plan_hash="0" * 64,
        dataset="x",
        created=datetime.now(UTC),
        client_version="0",
        source=Source(container="inputs", prefix=f"{run}/"),
        recipe=recipe_from_ops([OP]),
        limits=Limits(tiles="always", split=2),
        images=1,
        bytes=len(data),
        chunks=3,
        rejected=0,
    )
    runs.write(blob_names.run_path(run), dump(spec))
    entry = ImageEntry(path="a.tif", size=len(data), md5=hashlib.md5(data, usedforsecurity=False).hexdigest())
    changes = [{"band": Band(number=0, of=2)}, {"band": Band(number=1, of=2)}, {"joins": (0, 1)}]
    for chunk, change in enumerate(changes):
        header = ManifestHeader(run=run, chunk=chunk, images=1, bytes=len(data))
        lines = [dump(header), dump(entry.model_copy(update=change))]
        runs.write(blob_names.manifest_path(run, chunk), b"\n".join(lines))


def task_of(run, node, folder):
    """What does a chunk of a run, in this process."""

    def work(chunk):
        turn = Turn(folder / f"{run}-{chunk}.jsonl", Hand())
        return run_task(node, run, chunk, threading.Event(), turn)

    return work


@pytest.fixture
def ranges(monkeypatch):
    """Small originals are fetched as those of gigabytes are; the ranges of blobs that are asked for."""
    asked, read_range = [], Container.read_range

    def recorded(container, path, start, count, etag=None):
        asked.append((path, start, count, etag))
        return read_range(container, path, start, count, etag)

    monkeypatch.setattr(Container, "read_range", recorded)
    monkeypatch.setattr(pipeline, "LARGE_BYTES", 0)
    monkeypatch.setattr(parts, "GAP_BYTES", 512)
    monkeypatch.setattr(ranged, "HEADER_BYTES", 1024)
    return asked


def test_tasks_of_a_large_original_fetch_parts_of_it_and_notice_that_it_has_changed(batchimg, store, ranges, tmp_path):
    data, key, inputs = picture(1500, 300), batchimg.stack()["stack"]["storage_key"], store.container("inputs")
    node = Node("here", None, store.endpoint, key)
    write_run(store, "in-parts", data)
    work = task_of("in-parts", node, tmp_path)
    assert [work(chunk) for chunk in (0, 1, 2)] == [True] * 3
    (written,) = store.container("outputs").list("in-parts/")
    assert store.container("outputs").read(written.path) == done_by_one_task(data, tmp_path)
    of_original = [count for path, _, count, etag in ranges if path == "in-parts/a.tif" and etag]
    assert len(data) < sum(of_original) < 1.5 * len(data)
    (listed,) = inputs.list("in-parts/")
    assert listed.etag == inputs.stat("in-parts/a.tif").etag == next(etag for *_, etag in ranges if etag)
    with pytest.raises(StorageError) as caught:
        inputs.read_range("in-parts/a.tif", 0, 9, "0x8D0000000000000")
    assert caught.value.code == "ConditionNotMet"
    write_run(store, "split-changed", data)
    inputs.write("split-changed/a.tif", data[:-1] + b"x")
    task_of("split-changed", node, tmp_path)(0)
    record = store.container("runs").read(blob_names.result_path("split-changed", 0)).decode()
    assert "the original has changed since it was submitted" in record


def test_bands_that_are_missing_or_gone_end_the_joining_task_without_a_result(batchimg, store, tmp_path):
    run, data, runs = "by-hand", picture(600, 90), store.container("runs")
    write_run(store, run, data)
    key = batchimg.stack()["stack"]["storage_key"]
    environment = {**os.environ, "BATCHIMG_STORAGE_ENDPOINT": store.endpoint, "BATCHIMG_STORAGE_KEY": key}
    work = task_of(run, Node("here", None, store.endpoint, key), tmp_path)
    assert work(0)
    assert [blob.path for blob in runs.list(f"{run}/bands/")] == [f"{run}/{blob_names.band_path(0, 0)}"]
    command = [WORKER, "--run", run, "--chunk", "2"]
    early = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
    assert early.returncode == BANDS_MISSING
    assert "band 2 of 2 cannot be joined: the task of chunk 1 ended without a result" in early.stderr
    rows = [json.loads(line) for line in batchimg("ledger", run, "--json").stdout.splitlines()]
    assert [(row["path"], row["status"], row["chunk"]) for row in rows] == [("a.tif", "waiting", 2)]
    assert work(1)
    band = f"{run}/{blob_names.band_path(1, 0)}"
    content = runs.read(band)
    runs.delete(band)
    with pytest.raises(BandsMissing, match="bands/00001/000 is gone"):
        work(2)
    assert runs.stat(blob_names.result_path(run, 2)) is None
    runs.write(band, content)
    assert work(2)
    (written,) = store.container("outputs").list(f"{run}/")
    assert store.container("outputs").read(written.path) == done_by_one_task(data, tmp_path)
    assert not list(runs.list(f"{run}/bands/"))
