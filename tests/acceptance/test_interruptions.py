"""Interruptions: Ctrl-C, two at once, a service killed in the middle. Nothing is lost, nothing is done twice."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from command_line import interrupt, until
from pictures import noise

SLOWLY = ("--operations", Path(__file__).with_name("slow_operations.py"), "--op", "slowly")


def uploaded(batchimg, name: str) -> int:
    """How many originals of a dataset blob storage has, seen through a plan of the same prefix."""
    import json

    endpoint = batchimg.stack()["stack"]["blob_endpoint"]
    done = batchimg.start("submit", "--dataset", f"{endpoint}/inputs/{name}", "--plan", "--json")
    out, _ = done.communicate(timeout=60)
    return json.loads(out)["images"] if done.returncode == 0 else 0


def test_ctrl_c_in_the_middle_of_an_upload_then_the_same_command_goes_on(batchimg, tmp_path):
    from batchimg.scan import scan

    folder = noise(tmp_path / "many", 1000, side=16)
    name = scan(str(folder)).name
    process = batchimg.start("submit", "--dataset", folder, "--op", "flip=horizontal", BATCHIMG_UPLOAD_THREADS="1")
    until(lambda: uploaded(batchimg, name) > 20 or process.poll() is not None, "the upload's beginning")
    assert process.poll() is None, "the upload was over before it could be interrupted"
    code, errors = interrupt(process)
    assert code == 130
    assert "the same command goes on" in errors
    there = uploaded(batchimg, name)
    assert 20 < there < 1000
    status = batchimg.submit(folder, "--op", "flip=horizontal")
    assert (status["done"], status["failed"]) == (1000, 0)


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
    folder = noise(tmp_path / "killed", 60)
    done = batchimg("submit", "--dataset", folder, "--chunk-images", 10, *SLOWLY, "--json")
    import json

    run = json.loads(done.stdout)["run"]
    until(lambda: batchimg.status(run)["chunks"]["running"] > 0, "a running task")
    before = batchimg.stack()["stack"]["processes"]["batch"]
    os.kill(before, signal.SIGKILL)
    final = until(lambda: (s := batchimg.status(run))["state"] == "completed" and s, "the end of the run", 120)
    assert (final["done"], final["failed"], final["lost"]) == (60, 0, 0)
    assert batchimg.stack()["stack"]["processes"]["batch"] != before


def test_a_cancelled_run_keeps_what_was_done_and_the_same_submit_does_the_rest(batchimg, tmp_path):
    import json

    folder = noise(tmp_path / "cancelled", 60)
    run = json.loads(batchimg("submit", "--dataset", folder, "--chunk-images", 5, *SLOWLY, "--json").stdout)["run"]
    until(lambda: batchimg.status(run)["chunks"]["done"] > 0, "the first chunk")
    batchimg("cancel", run)
    final = until(
        lambda: (
            (s := json.loads(batchimg.start("status", run, "--json").communicate()[0]))["state"] == "cancelled" and s
        ),
        "the end",
    )
    assert 0 < final["done"] < 60
    assert final["done"] + final["failed"] + final["lost"] == 60
    assert "had ended before" in batchimg("cancel", run).stdout
    again = batchimg.submit(folder, "--chunk-images", 5, *SLOWLY)
    assert (again["run"], again["done"], again["lost"]) == (run, 60, 0)


def test_another_shell_knows_a_run_whose_laptop_went_away(batchimg, tmp_path):
    process = batchimg.start("submit", "--dataset", noise(tmp_path / "away", 30), "--op", "flip=horizontal", "--wait")
    import json

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
