"""The ledger, failures, retry and incremental submits, as a user types them."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from batchimg.batch import Batch
from batchimg.connect import Services
from batchimg.retry import Wanted, plan_retry, start_retry
from batchimg.runs import find_run
from batchimg.settings import Settings
from batchimg_worker.blob_names import heartbeat_path, ledger_path, manifest_path, part_path, result_path, run_path
from batchimg_worker.storage import BlobStore

from command_line import BATCHIMG, slowly, until
from made_images import noise
from rehearsal import EMPTY, rehearsing

RECIPE = ("--op", "flip=horizontal")


@pytest.fixture
def runs(batchimg):
    stack = batchimg.stack()["stack"]
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield store.container("runs")
    store.close()


def rows_of(batchimg, run: str, **settings: str) -> dict[str, dict]:
    lines = batchimg("ledger", run, "--json", **settings).stdout.splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def state_of(batchimg, run: str, **settings: str) -> str:
    """A run's state, whatever the exit code."""
    process = batchimg.start("status", run, "--json", **settings)
    return json.loads(process.communicate(timeout=60)[0])["state"]


def files_of(folder) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*.png")}


def test_the_last_task_merges_a_row_for_every_image(batchimg, runs, tmp_path):
    folder = noise(tmp_path / "merged", 5)
    (folder / "broken.png").write_bytes(b"no image")
    run = batchimg.submit(folder, *RECIPE, "--op", "mean_pixel", "--chunk-images", 2, expect=1)["run"]
    blob = until(lambda: runs.stat(ledger_path(run)), "the ledger")
    assert (blob.metadata["done"], blob.metadata["failed"], blob.metadata["lost"]) == ("5", "1", "0")
    batchimg("ledger", run, "--to", tmp_path / "ledger.parquet")
    assert runs.stat(ledger_path(run)).etag == blob.etag
    table = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert sorted(row["path"] for row in table) == sorted(file.name for file in folder.iterdir())
    row = next(row for row in table if row["path"] == "0003.png")
    assert (row["status"], row["chunk"], row["attempt"], row["job"]) == ("done", 1, 1, run)
    assert row["size"] == (folder / "0003.png").stat().st_size
    assert row["outputs"][0]["variant"] == "flip-horizontal"
    assert row["peak_memory_bytes"] > 10_000_000
    assert json.loads(row["measures"])["mean_pixel"]["red"] > 0
    assert row["node"]
    assert row["recipe_hash"]
    assert row["worker_version"]
    by_path = {row["path"]: row for row in csv.DictReader(io.StringIO(batchimg("ledger", run, "--csv").stdout))}
    assert (by_path["broken.png"]["status"], by_path["broken.png"]["error_type"]) == ("failed", "DecodeError")
    assert json.loads(by_path["0003.png"]["seconds"])["fetch"] > 0
    assert "5" in batchimg("ledger", run).stdout


def test_failures_are_grouped_by_cause_without_names_and_numbers(batchimg, tmp_path):
    folder = noise(tmp_path / "causes", 3)
    for number in range(4):
        (folder / f"cut-{number}.png").write_bytes((folder / "0000.png").read_bytes()[: 600 + number])
    run = batchimg.submit(folder, *RECIPE, expect=1)["run"]
    causes = json.loads(batchimg("failures", run, "--json").stdout)
    assert [(cause["images"], cause["status"], cause["error_type"]) for cause in causes] == [
        (4, "failed", "DecodeError")
    ]
    assert causes[0]["example"].startswith("cut-")
    assert "DecodeError" in batchimg("failures", run).stdout


def test_lost_images_have_a_row_with_the_reason_and_a_retry_does_exactly_them(batchimg, runs, tmp_path):
    folder = noise(tmp_path / "lost", 4)
    with rehearsing(batchimg.stack()["stack"]) as rehearsal:
        settings = {**rehearsal.environment, "BATCHIMG_POOL": EMPTY}
        submitted = batchimg("submit", "--dataset", folder, *RECIPE, "--chunk-images", 2, "--json", **settings)
        run = json.loads(submitted.stdout)["run"]
        assert {row["status"] for row in rows_of(batchimg, run, **settings).values()} == {"waiting"}
        assert "is not over" in batchimg("retry", run, expect=2, **settings).stderr
        batchimg("cancel", run, **settings)
        until(lambda: state_of(batchimg, run, **settings) == "cancelled", "the end")
        rows = rows_of(batchimg, run, **settings)
        assert {(row["status"], row["error_type"]) for row in rows.values()} == {("lost", "NeverBegan")}
        assert runs.stat(ledger_path(run)).metadata["lost"] == "4"
        again = batchimg("retry", run, "--wait", "--json", **rehearsal.environment)
    status = json.loads(again.stdout.strip().splitlines()[-1])
    assert (status["images"], status["done"]) == (4, 4)


def test_a_retry_does_what_is_not_done_and_both_runs_are_seen_as_one(batchimg, tmp_path):
    folder = noise(tmp_path / "again", 6, side=64)
    noise(folder, 2, side=80, name="large-{}.png")
    environment = {"BATCHIMG_MAX_MEGAPIXELS": "0.005"}
    done = batchimg("submit", "--dataset", folder, *RECIPE, "--wait", "--json", expect=1, **environment)
    run = json.loads(done.stdout.strip().splitlines()[-1])["run"]
    plan = json.loads(batchimg("retry", run, "--plan", "--json").stdout)
    assert (plan["images"], plan["done_before"], plan["parent"]) == (2, 6, run)
    assert (plan["quarantined"], plan["unsent"], plan["cost"]["canary"]) == (0, 0, 0)
    assert plan["cost"]["seconds_from"] == f"6 images of run {run}"
    assert 0 < plan["cost"]["total"]["low"] < plan["cost"]["total"]["high"]
    assert "nothing of run" in batchimg("retry", run, "--cause", "no such cause", expect=2).stderr
    done = batchimg("retry", run, "--cause", "megapixels", "--wait", "--json")
    status = json.loads(done.stdout.strip().splitlines()[-1])
    assert status["run"].startswith("again-r1-")
    assert (status["images"], status["done"]) == (2, 2)
    batchimg("download", status["run"], "--to", tmp_path / "out")
    names = {file.name for file in folder.iterdir()}
    assert files_of(tmp_path / "out") == {f"flip-horizontal/{name}" for name in names}
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(record["path"] for record in records) == sorted(names)
    assert {record["status"] for record in records} == {"done"}
    assert len(rows_of(batchimg, status["run"])) == 8
    assert "is done" in batchimg("failures", status["run"]).stdout
    assert "nothing of run" in batchimg("retry", run, expect=2).stderr
    batchimg("gallery", status["run"], "--to", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert all(name in page for name in names)
    assert status["run"] in batchimg("delete", run, "--yes", expect=2).stderr


@pytest.fixture
def long_ledger(runs) -> Iterator[str]:
    """A run that nobody made, whose ledger is longer than what is written at once."""
    golden, run = Path(__file__).parents[1] / "contract" / "golden", "long-0123456789"
    spec = json.loads((golden / "run-v1.json").read_text())
    header, record, *_ = map(json.loads, (golden / "result-v1.jsonl").read_text().splitlines())
    lines = [header | {"run": run, "done": 2_000, "failed": 0}]
    lines += [record | {"path": f"{number}.jpg"} for number in range(2_000)]
    runs.write(run_path(run), json.dumps(spec | {"run": run, "chunks": 1, "images": 2_000, "rejected": 0}).encode())
    runs.write(result_path(run, 0), "\n".join(map(json.dumps, lines)).encode())
    yield run
    for blob in list(runs.list(f"{run}/")):
        runs.delete(blob.path)


def test_a_reader_of_a_ledger_that_goes_away_is_no_failure(batchimg, long_ledger):
    assert in_shell(batchimg, f"ledger {long_ledger} --csv | head -c 1 >/dev/null") == (0, "")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_ledger_that_cannot_be_written_out_is_told_once(batchimg, long_ledger, kind):
    told = "batchimg: the answer cannot be written: No space left on device\n  See to where it goes.\n"
    assert in_shell(batchimg, f"ledger {long_ledger} --{kind} >/dev/full") == (3, told)


def in_shell(batchimg, command: str) -> tuple[int, str]:
    """Exit code and stderr of a command with its redirections."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {BATCHIMG} {command}"],
        check=False, capture_output=True, text=True, env=batchimg.environment(), timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_merge_knows_results_parts_and_chunks_without_either(batchimg, runs):
    golden = Path(__file__).parents[1] / "contract" / "golden"
    run = "images-0123456789"
    spec = json.loads((golden / "run-v1.json").read_text()) | {"chunks": 4, "images": 9, "rejected": 0}
    runs.write(f"{run}/run.json", json.dumps(spec).encode())
    for chunk in range(4):
        runs.write(manifest_path(run, chunk), (golden / "manifest-v1.jsonl").read_bytes())
    runs.write(result_path(run, 0), (golden / "result-v1.jsonl").read_bytes())
    runs.write(
        result_path(run, 1), (golden / "result-v1-attempts.jsonl").read_bytes().replace(b'"chunk":0', b'"chunk":1', 1)
    )
    runs.write(part_path(run, 1), b"what a late delivery left")
    runs.write(part_path(run, 2), (golden / "part-v1.jsonl").read_bytes() + b'{"path": "half')
    beat = (golden / "heartbeat-v1-attempt.json").read_text().strip()
    runs.write(heartbeat_path(run, 2), beat.encode(), metadata={"heartbeat": beat})
    stack = batchimg.stack()["stack"]
    storage = {"BATCHIMG_STORAGE_ENDPOINT": stack["blob_endpoint"], "BATCHIMG_STORAGE_KEY": stack["storage_key"]}
    worker = Path(sys.executable).with_name("batchimg-worker")
    subprocess.run([worker, "--run", run, "--ledger"], check=True, env={**os.environ, **storage}, timeout=60)
    table = pq.read_table(io.BytesIO(runs.read(ledger_path(run)))).to_pylist()
    found = [(row["chunk"], row["path"], row["status"], row["attempt"], row["node"]) for row in table[:6]]
    assert found == [
        (0, "a b/ü.jpg", "done", None, "node-1"),
        (0, "c.png", "failed", None, "node-1"),
        (1, "a b/ü.jpg", "done", 1, "node-1"),
        (1, "q.png", "quarantined", 2, "node-2"),
        (2, "a b/ü.jpg", "done", 1, "node-1"),
        (2, "q.png", "quarantined", 2, "node-2"),
    ]
    lost = [(row["chunk"], row["path"], row["status"], row["error_type"]) for row in table[6:]]
    assert lost == [
        (2, "c.png", "lost", "TaskFailed"),
        (3, "a b/ü.jpg", "lost", "NeverBegan"),
        (3, "c.png", "lost", "NeverBegan"),
    ]
    assert "after 2 attempts" in table[6]["message"]
    for blob in list(runs.list(f"{run}/")):
        runs.delete(blob.path)


def test_a_retry_that_was_interrupted_goes_on_when_it_is_typed_again(batchimg, tmp_path):
    folder = noise(tmp_path / "twice-tried", 2)
    (folder / "broken.png").write_bytes(b"no image")
    run = batchimg.submit(folder, *RECIPE, expect=1)["run"]
    stack = batchimg.stack()["stack"]
    batch = Batch(stack["batch_endpoint"], stack["batch_account"], stack["batch_key"])
    services = Services(batch, BlobStore(stack["blob_endpoint"], stack["storage_key"]), Settings(), is_local=True)

    def interrupt(_event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_retry(services, plan_retry(services, find_run(services, run), Wanted()), interrupt)
    begun = find_run(services, "twice-tried-r1")
    services.batch.close()
    services.store.close()
    done = batchimg("retry", run, "--wait", "--json", expect=1)
    status = json.loads(done.stdout.strip().splitlines()[-1])
    assert (status["run"], status["images"], status["failed"]) == (begun.run, 1, 1)
    after = Batch(stack["batch_endpoint"], stack["batch_account"], stack["batch_key"])
    assert [job.has_all_tasks for job in after.jobs(begun.run)] == [True]
    after.close()


def test_a_submit_of_a_grown_and_changed_folder_does_only_what_is_new(batchimg, tmp_path):
    folder = noise(tmp_path / "growing", 6)
    first = batchimg.submit(folder, *RECIPE)
    assert batchimg.submit(folder, *RECIPE)["run"] == first["run"]
    (folder / "0001.png").write_bytes((folder / "0000.png").read_bytes())
    (folder / "new.png").write_bytes((folder / "0002.png").read_bytes())
    plan = json.loads(batchimg("submit", "--dataset", folder, *RECIPE, "--plan", "--json").stdout)
    assert plan["parent"] == first["run"]
    second = batchimg.submit(folder, *RECIPE)
    assert (second["images"], second["done"]) == (2, 2)
    assert batchimg.submit(folder, *RECIPE, "--resume")["run"] == second["run"]
    batchimg("download", second["run"], "--to", tmp_path / "out")
    pictures = tmp_path / "out" / "flip-horizontal"
    assert files_of(pictures) == {file.name for file in folder.iterdir()}
    assert (pictures / "0001.png").read_bytes() == (pictures / "0000.png").read_bytes()
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 7
    (folder / "new.png").unlink()
    shrunk = batchimg("submit", "--dataset", folder, *RECIPE)
    assert "Nothing is new" in shrunk.stdout
    assert "no run of these" in batchimg("submit", "--dataset", folder, *RECIPE, "--all", "--resume", expect=2).stderr
    whole = batchimg.submit(folder, *RECIPE, "--all")
    assert (whole["images"], whole["done"]) == (6, 6)


def test_a_cancelled_run_that_was_submitted_again_has_one_ledger_of_both_jobs(batchimg, runs, tmp_path):
    gate = tmp_path / "gate"
    command = (noise(tmp_path / "two-jobs", 20), *slowly(gate), "--chunk-images", 2)
    submitted = batchimg("submit", "--dataset", *command, "--json")
    run = json.loads(submitted.stdout)["run"]
    until(lambda: batchimg.status(run)["chunks"]["done"] > 0, "the first chunk")
    batchimg("cancel", run)
    until(lambda: state_of(batchimg, run) == "cancelled", "the end")
    before = batchimg("ledger", run, "--json").stdout.splitlines()
    assert len(before) == 20
    gate.touch()
    assert batchimg.submit(*command)["run"] == run
    until(lambda: runs.stat(ledger_path(run)).metadata["done"] == "20", "the ledger of both jobs")
    rows = rows_of(batchimg, run)
    assert {row["status"] for row in rows.values()} == {"done"}
    assert {row["job"] for row in rows.values()} == {run, f"{run}-2"}
