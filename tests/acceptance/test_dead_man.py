"""The dead man's switch: what was begun ends by itself, whatever has become of the laptop that began it."""

import signal
from datetime import timedelta

import pytest

from batch_emulator.account import Settings
from batchimg.batch import ADDING_HOURS

from autoscale_curves import formula
from command_line import until
from made_images import noise
from stage import stage

SCALE = 40_000  # a day in two seconds
ADD_TASKS = "POST /jobs/{jobId}/addtaskcollection"
WORKER = "/bin/sh -c 'sleep 600' worker"


@pytest.fixture(scope="module")
def fast(batchimg):
    """An account on which a day goes by in two seconds, with a pool that scales by the formula of `pulumi/`."""
    with stage(batchimg, Settings(time_scale=SCALE)) as made:
        pool = made.pool(
            "scaled",
            enable_auto_scale=True,
            auto_scale_formula=formula(slots=1, max_spot=2, max_dedicated=0),
            auto_scale_evaluation_interval=timedelta(minutes=5),
        )
        made.environment.update(BATCHIMG_POOL=pool, BATCHIMG_WORKER_COMMAND=WORKER)
        yield made


def test_a_submit_that_is_killed_in_the_middle_of_its_tasks_ends_by_itself(batchimg, fast, tmp_path):
    folder = noise(tmp_path / "orphan", 120, side=8)
    fault = fast.fault(kind="cut-connection", count=None, skip=1, match={"operation": ADD_TASKS})
    process = batchimg.start("submit", "--dataset", folder, "--chunk-images", 1, **fast.environment)
    until(lambda: fast.fired(fault) or process.poll() is not None, "the middle of the submit")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    fast.calm()
    job = until(lambda: (found := job_of(fast, "orphan")).state == "completed" and found, "the end")
    assert job.execution_info.termination_reason == "MaxWallClockTimeExpiry"
    assert job.constraints.max_wall_clock_time == timedelta(hours=ADDING_HOURS)
    tasks = list(fast.client.list_tasks(job.id))
    assert 0 < len(tasks) < 120
    limits = {(task.constraints.max_wall_clock_time, task.constraints.max_task_retry_count) for task in tasks}
    assert limits == {(timedelta(hours=12), 3)}
    until(lambda: not list(fast.client.list_nodes("scaled")), "the end of the last node")
    until(lambda: targets(fast.client.get_pool("scaled")) == (0, 0), "a pool that wants no nodes")
    said = batchimg("why", job.id, "--json", expect=1, **fast.environment)
    assert '"reason": "submit-died"' in said.stdout


def job_of(stage, name: str):
    return next(job for job in stage.client.list_jobs() if job.id.startswith(f"{name}-"))


def targets(pool) -> tuple[int, int]:
    return pool.target_low_priority_nodes, pool.target_dedicated_nodes


def test_a_run_whose_tasks_never_end_is_ended_after_its_hours(batchimg, fast, tmp_path):
    folder = noise(tmp_path / "endless", 2, side=8)
    hours = {"BATCHIMG_MAX_TASK_HOURS": "100"}  # no more than the run's own: its end comes first
    batchimg("submit", "--dataset", folder, "--chunk-images", 1, "--max-hours", 48, **fast.environment, **hours)

    job = until(lambda: (found := job_of(fast, "endless")).state == "completed" and found, "the end of the run")
    assert job.constraints.max_wall_clock_time == timedelta(hours=48)
    assert job.constraints.max_task_retry_count == 3
    for task in fast.client.list_tasks(job.id):
        assert task.constraints.max_wall_clock_time == timedelta(hours=48)
    said = batchimg("why", job.id, expect=1, **fast.environment)
    assert "--max-hours" in said.stdout
    until(lambda: not list(fast.client.list_nodes("scaled")), "the end of the last node")
