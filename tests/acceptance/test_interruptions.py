"""Interruptions: Ctrl-C, two at once, a service killed in the middle. Nothing is lost, nothing is done twice."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

from batchimg.scan import scan

from command_line import interrupt, slowly, until
from made_images import noise
from rehearsal import rehearsing
from slow_storage import slow_storage


def images_in(endpoint: str, name: str, batchimg) -> int:
    """How many originals of a dataset blob storage has, by the plan of a dataset in the cloud."""
    return json.loads(batchimg("submit", "--dataset", f"{endpoint}/inputs/{name}", "--plan", "--json").stdout)["images"]


def test_ctrl_c_in_the_middle_of_an_upload_then_the_same_command_goes_on(batchimg, tmp_path):
    stack = batchimg.stack()["stack"]
    endpoint, folder = stack["blob_endpoint"], noise(tmp_path / "many", 200, side=16)
    name = scan(str(folder)).name
    with rehearsing(stack) as rehearsal, slow_storage(endpoint, f"inputs/{name}/", 0.15) as slow:
        environment = rehearsal.environment | {"BATCHIMG_STORAGE_ENDPOINT": slow.endpoint}
        process = batchimg.start(
            *("submit", "--dataset", folder, "--op", "flip=horizontal"), **environment, BATCHIMG_UPLOAD_THREADS="1"
        )
        until(lambda: slow.writes.fired > 10, "the upload's beginning")
        code, errors = interrupt(process)
    assert code == 130
    assert "the same command goes on" in errors
    assert 10 <= images_in(endpoint, name, batchimg) < 200
    status = batchimg.submit(folder, "--op", "flip=horizontal")
    assert (status["done"], status["failed"]) == (200, 0)


def test_two_submits_of_the_same_at_once_make_one_run(batchimg, tmp_path):
    folder = noise(tmp_path / "twice", 40)
    with ThreadPoolExecutor(2) as both:
        one, two = both.map(lambda _: batchimg.submit(folder, "--op", "flip=horizontal"), range(2))
    assert one["run"] == two["run"]
    assert (one["done"], two["done"]) == (40, 40)


def test_two_different_submits_at_once_both_end_well(batchimg, tmp_path):
    folders = [noise(tmp_path / name, 20, side=40 + index) for index, name in enumerate(("left", "right"))]
    with ThreadPoolExecutor(2) as both:
        one, two = both.map(lambda folder: batchimg.submit(folder, "--op", "flip=vertical"), folders)
    assert one["run"] != two["run"]
    assert (one["done"], two["done"]) == (20, 20)


def test_the_emulator_killed_in_the_middle_of_a_run_is_started_again_and_the_run_ends_well(batchimg, tmp_path):
    folder, gate = noise(tmp_path / "killed", 24), tmp_path / "gate"
    done = batchimg("submit", "--dataset", folder, "--chunk-images", 6, *slowly(gate), "--json")
    run = json.loads(done.stdout)["run"]
    until(lambda: batchimg.status(run)["chunks"]["running"] > 0, "a running task")
    before = batchimg.stack()["stack"]["processes"]["batch"]
    os.kill(before, signal.SIGKILL)
    gate.touch()
    final = until(lambda: (s := batchimg.status(run))["state"] == "completed" and s, "the end of the run", 120)
    assert (final["done"], final["failed"], final["lost"]) == (24, 0, 0)
    assert batchimg.stack()["stack"]["processes"]["batch"] != before


def test_a_cancelled_run_keeps_what_was_done_and_the_same_submit_does_the_rest(batchimg, tmp_path):
    folder, gate = noise(tmp_path / "cancelled", 24), tmp_path / "gate"
    command = (folder, "--chunk-images", 2, *slowly(gate))
    run = json.loads(batchimg("submit", "--dataset", *command, "--json").stdout)["run"]
    until(lambda: batchimg.status(run)["chunks"]["done"] > 0, "the first chunk")
    batchimg("cancel", run)
    final = until(
        lambda: (
            (s := json.loads(batchimg.start("status", run, "--json").communicate()[0]))["state"] == "cancelled" and s
        ),
        "the end",
    )
    assert 0 < final["done"] < 24
    assert final["done"] + final["failed"] + final["lost"] == 24
    assert "had ended before" in batchimg("cancel", run).stdout
    gate.touch()
    again = batchimg.submit(*command)
    assert (again["run"], again["done"], again["lost"]) == (run, 24, 0)


def test_another_shell_knows_a_run_whose_laptop_went_away(batchimg, tmp_path):
    process = batchimg.start("submit", "--dataset", noise(tmp_path / "away", 30), "--op", "flip=horizontal", "--wait")

    def mine():
        return [run for run in json.loads(batchimg("runs", "--json").stdout) if run["run"].startswith("away-")]

    run = until(mine, "the run")[0]["run"]
    process.kill()
    process.communicate()
    final = until(
        lambda: (
            (s := json.loads(batchimg.start("status", run, "--json").communicate()[0]))["state"] == "completed" and s
        ),
        "the end",
        60,
    )
    assert final["done"] == 30


def test_logs_outlive_the_node(batchimg, tmp_path):
    """`batchimg delete`s of a job's node are rehearsed by ending the job: its task files go with it."""
    from batchimg.batch import Batch

    run = batchimg.submit(noise(tmp_path / "logged", 5), "--op", "flip=horizontal")["run"]
    stack = batchimg.stack()["stack"]
    batch = Batch(stack["batch_endpoint"], stack["batch_account"], stack["batch_key"])
    assert batch.task_file(run, "0", "stderr.txt") is not None
    batch.delete_job(run)
    assert batch.task_file(run, "0", "stderr.txt") is None
    batch.close()
    logs = batchimg("logs", run)
    assert "5 done, 0 failed" in logs.stdout
    assert "from blob storage" in logs.stderr
