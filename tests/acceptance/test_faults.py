"""The main job against an emulator that misbehaves: every image has one record, and nothing is lost or doubled."""

import json
import os

import pytest

from made_images import noise
from rehearsal import SPOT, rehearsing

IMAGES = 12
ADD_JOB, ADD_TASKS, PATCH_JOB = "POST /jobs", "POST /jobs/{jobId}/addtaskcollection", "PATCH /jobs/{jobId}"

FAULTS = {
    "busy while tasks are added": {"kind": "http-error", "status": 429, "retryAfter": 0, "count": 3},
    "a job that is made and answered with 500": {"kind": "applied-then-500", "match": {"operation": ADD_JOB}},
    "tasks that are added and answered with 500": {"kind": "applied-then-500", "match": {"operation": ADD_TASKS}},
    "a connection cut after tasks are added": {
        "kind": "cut-connection",
        "where": "after",
        "match": {"operation": ADD_TASKS},
    },
    "tasks in the casing of the documentation": {"kind": "task-status-casing", "casing": "pascal", "count": None},
    "a node that is preempted in the middle": {"kind": "preempt-node", "at": "task-start", "delay": 0.7},
    "a task that is delivered twice at once": {"kind": "duplicate-delivery"},
    "counts that are stale": {"kind": "stale-counts", "seconds": 5, "count": None},
}
MORE_FAULTS = {
    "busy while the job is made": {"kind": "http-error", "status": 503, "count": 3, "match": {"operation": ADD_JOB}},
    "a patch that is applied and answered with 500": {"kind": "applied-then-500", "match": {"operation": PATCH_JOB}},
    "a connection cut before tasks are added": {"kind": "cut-connection", "match": {"operation": ADD_TASKS}},
    "a connection cut after the job is made": {
        "kind": "cut-connection",
        "where": "after",
        "match": {"operation": ADD_JOB},
    },
    "a node that is lost in the middle": {"kind": "lose-node", "at": "task-start", "delay": 0.7},
    "a node that becomes unusable in the middle": {"kind": "unusable-node", "at": "task-start", "delay": 0.7},
    "a task that is delivered again at its end": {"kind": "duplicate-delivery", "overlap": False},
}
"""Kin of those above, and of the faults of `make chaos`; `make faults` has them too."""

WANTED = FAULTS | (MORE_FAULTS if os.environ.get("BATCHIMG_ALL_FAULTS") else {})


@pytest.fixture(scope="module")
def rehearsal(batchimg):
    with rehearsing(batchimg.stack()["stack"]) as running:
        yield running


@pytest.mark.parametrize("fault", WANTED)
def test_a_run_ends_well_in_spite_of(batchimg, rehearsal, tmp_path, fault):
    folder = noise(tmp_path / f"fault-{list(WANTED).index(fault)}", IMAGES, side=64)
    set_ = rehearsal.fault("POST", "/faults", WANTED[fault])
    try:
        done = batchimg(
            *("submit", "--dataset", folder, "--op", "rotate=20", "--chunk-images", 4, "--wait", "--json"),
            **rehearsal.environment,
            BATCHIMG_POOL=SPOT if "preempt" in fault else "batchimg",
        )
        assert rehearsal.fault("GET", f"/faults/{set_['id']}")["fired"] >= 1
    finally:
        rehearsal.fault("DELETE", f"/faults/{set_['id']}")
    status = json.loads(done.stdout.strip().splitlines()[-1])
    assert (status["done"], status["failed"], status["lost"]) == (IMAGES, 0, 0)
    batchimg("download", status["run"], "--to", tmp_path / "out", **rehearsal.environment)
    records = [json.loads(line)["path"] for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(records) == sorted(file.name for file in folder.iterdir())
    assert len(list((tmp_path / "out" / "rotate-20").iterdir())) == IMAGES
