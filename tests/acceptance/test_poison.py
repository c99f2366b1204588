"""Images that kill their worker, and nodes that go away: real workers on an emulator, with a plug-in that misbehaves.

The plug-in looks at the red value of an image's first pixel; most images have none of those that it minds.
"""

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from batchimg_worker.blob_names import part_path, result_path
from batchimg_worker.storage import BlobStore

from blobs import beaten
from command_line import until
from rehearsal import SPOT, rehearsing

SEGFAULT, LOOP, EAT, LEAVE, WAIT, WAIT_AGAIN, KILL_TASK, GOOD = 1, 2, 3, 4, 5, 6, 7, 200
PLUGIN = f'''
import os, signal, time
from pathlib import Path
from batchimg_worker.operations import operation

@operation()
def trap(image):
    """Misbehave."""
    kind = int(image[0, 0, 0])
    if kind == {SEGFAULT}:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == {LOOP}:
        while True:
            time.sleep(0.01)
    elif kind == {EAT}:
        eaten = []
        while True:
            eaten.append(b"x" * 50_000_000)
    elif kind == {LEAVE}:
        os._exit(0)
    elif kind == {KILL_TASK}:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    elif kind in {{{WAIT}, {WAIT_AGAIN}}}:
        gate = Path(os.environ["GATES"], str(kind))
        while not gate.exists():
            time.sleep(0.01)
    return image
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """An installed package with an operation."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "batchimg_trap.py").write_text(PLUGIN)
    metadata = folder / "batchimg_trap-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: batchimg-trap\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[batchimg.operations]\ntrap = batchimg_trap\n")
    return folder


@pytest.fixture(scope="module")
def gates(tmp_path_factory) -> Path:
    """A folder in which a file opens a gate."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def rehearsal(batchimg, plugin, gates):
    with rehearsing(batchimg.stack()["stack"], PYTHONPATH=str(plugin), GATES=str(gates)) as running:
        running.environment["PYTHONPATH"] = str(plugin)
        yield running


@pytest.fixture
def store(batchimg):
    stack = batchimg.stack()["stack"]
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield store
    store.close()


def images(folder: Path, kinds: list[int]) -> Path:
    folder.mkdir()
    for number, kind in enumerate(kinds):
        pixels = np.full((8, 8, 3), number, np.uint8)
        pixels[..., 0] = kind
        iio.imwrite(folder / f"{number:02d}.png", pixels)
    return folder


def rows_of(batchimg, run: str, settings: dict[str, str]) -> dict[str, dict]:
    lines = batchimg("ledger", run, "--json", **settings).stdout.splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def test_an_image_that_takes_for_ever_is_quarantined_and_its_neighbours_done(batchimg, rehearsal, tmp_path):
    settings = {**rehearsal.environment, "BATCHIMG_IMAGE_SECONDS": "2"}
    folder = images(tmp_path / "endless", [GOOD, LOOP, GOOD])
    done = batchimg(
        "submit", "--dataset", folder, "--op", "trap", "--chunk-images", 3, "--wait", "--json", expect=1, **settings
    )
    rows = rows_of(batchimg, json.loads(done.stdout.strip().splitlines()[-1])["run"], settings)
    assert [rows[path]["status"] for path in sorted(rows)] == ["done", "quarantined", "done"]
    assert (rows["01.png"]["error_type"], rows["01.png"]["seconds"]["fetch"]) == ("TimeLimitExceeded", 0)
    assert "2 s" in rows["01.png"]["message"]


def test_images_that_kill_their_worker_are_quarantined_and_their_neighbours_done(batchimg, rehearsal, tmp_path, store):
    kinds = [GOOD, SEGFAULT, GOOD, EAT, GOOD, LEAVE, GOOD]
    settings = {**rehearsal.environment, "BATCHIMG_MEMORY_MB": "512"}
    done = batchimg(
        *("submit", "--dataset", images(tmp_path / "poison", kinds), "--op", "trap", "--chunk-images", 7),
        *("--wait", "--json"),
        expect=1,
        **settings,
    )
    status = json.loads(done.stdout.strip().splitlines()[-1])
    assert (status["done"], status["failed"], status["lost"]) == (4, 3, 0)
    rows = rows_of(batchimg, status["run"], settings)
    assert [rows[f"{number:02d}.png"]["status"] for number in range(7)] == [
        "done" if kind == GOOD else "quarantined" for kind in kinds
    ]
    reasons = {kind: rows[f"{number:02d}.png"] for number, kind in enumerate(kinds) if kind != GOOD}
    assert "SIGSEGV" in reasons[SEGFAULT]["message"]
    assert reasons[EAT]["error_type"] == "MemoryLimitExceeded"
    assert "exit code 0" in reasons[LEAVE]["message"]
    assert {row["attempt"] for row in rows.values()} == {1}
    assert store.container("runs").stat(part_path(status["run"], 0)) is None
    refused = batchimg("retry", status["run"], expect=2, **settings)
    assert "--include-quarantined" in refused.stderr


def test_an_image_that_kills_the_whole_task_is_found_by_the_next_attempts(batchimg, rehearsal, tmp_path):
    folder = images(tmp_path / "deadly", [GOOD, KILL_TASK, GOOD])
    done = batchimg(
        *("submit", "--dataset", folder, "--op", "trap", "--chunk-images", 3, "--wait", "--json"),
        expect=1,
        **rehearsal.environment,
    )
    rows = rows_of(batchimg, json.loads(done.stdout.strip().splitlines()[-1])["run"], rehearsal.environment)
    assert [rows[path]["status"] for path in sorted(rows)] == ["done", "quarantined", "done"]
    assert [rows[path]["attempt"] for path in sorted(rows)] == [3, 4, 3]


def test_a_preempted_task_keeps_its_records_and_the_next_attempt_goes_on_after_them(
    batchimg, rehearsal, tmp_path, store, gates
):
    kinds = [GOOD, GOOD, GOOD, WAIT, WAIT_AGAIN, GOOD]
    folder = images(tmp_path / "preempted", kinds)
    settings = {**rehearsal.environment, "BATCHIMG_POOL": SPOT}
    submitted = batchimg("submit", "--dataset", folder, "--op", "trap", "--chunk-images", 6, "--json", **settings)
    run = json.loads(submitted.stdout)["run"]
    outputs, runs = store.container("outputs"), store.container("runs")
    until(lambda: len(list(outputs.list(f"{run}/"))) == 3, "three pictures")
    (gates / str(WAIT)).touch()
    before = until(lambda: len(found := list(outputs.list(f"{run}/"))) == 4 and found, "the fourth picture")
    rehearsal.fault("POST", "/faults", {"kind": "preempt-node", "match": {"poolId": SPOT}, "count": 2})
    until(lambda: beaten(runs, run, 0).get("attempt") == 2, "the next attempt")
    (gates / str(WAIT_AGAIN)).touch()
    until(lambda: runs.stat(result_path(run, 0)), "the result")
    rows = rows_of(batchimg, run, settings).values()
    assert sorted((row["path"], row["status"]) for row in rows) == [(f"0{number}.png", "done") for number in range(6)]
    kept = {f"{run}/trap/{row['path']}" for row in rows if row["attempt"] == 1}
    assert f"{run}/trap/00.png" in kept
    assert f"{run}/trap/04.png" not in kept
    etags = {blob.path: blob.etag for blob in outputs.list(f"{run}/")}
    assert all(etags[blob.path] == blob.etag for blob in before if blob.path in kept)
