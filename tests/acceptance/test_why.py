"""Why a run does not run: each pain made at a real emulator, and what `batchimg why` says of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models

from batch_emulator.account import Settings
from batchimg.connect import connect
from batchimg.runs import find_run
from batchimg.settings import load_settings
from batchimg.snapshot import Snapshot, take
from batchimg.why import Reason, Verdict, reason_of
from batchimg_worker.blob_names import heartbeat_path, result_path
from batchimg_worker.contract import HEARTBEAT_METADATA, Heartbeat
from batchimg_worker.documents import dump

from command_line import until
from made_images import noise
from stage import SLEEP, Stage, stage, task

LONG = 600.0  # seconds: longer than any test
FAIL = "/bin/sh -c 'exit {}'"


@pytest.fixture(scope="module")
def scene(batchimg):
    with stage(batchimg, Settings(node_delay=0.01, recovery_delay=LONG)) as made:
        yield made


@pytest.fixture(scope="module")
def tight(batchimg):
    """An account with two dedicated cores and none of Spot, whose nodes take their time."""
    with stage(batchimg, Settings(dedicated_core_quota=2, low_priority_core_quota=0, node_delay=0.01)) as made:
        yield made


@pytest.fixture(scope="module")
def sluggish(batchimg):
    """An account whose pools take for ever to be resized."""
    with stage(batchimg, Settings(allocation_delay=LONG)) as made:
        yield made


def services_of(made: Stage, **changes: str):
    names = {name.removeprefix("BATCHIMG_").lower(): value for name, value in made.environment.items()}
    return connect(load_settings(None, **(names | changes)))


def look(made: Stage, run: str, **changes: str) -> Snapshot:
    with services_of(made, **changes) as services:
        return take(services, find_run(services, run))


def why(made: Stage, run: str, name: str, verdict: Verdict | None = None) -> Reason:
    """The reason, as soon as it is the one that the test waits for: counts of tasks may come a little later."""
    last: list[Reason] = []

    def asked() -> Reason | None:
        last[:] = [reason_of(look(made, run))]
        found = last[0].finding
        return last[0] if found.name == name and verdict in {None, found.verdict} else None

    try:
        return until(asked, name, 15)
    except AssertionError:
        raise AssertionError(f"{name} expected, found {last}") from None


def no_job(made):
    return made.run("no-job")


def job_disabled(made):
    made.job(made.run("disabled"), made.pool("for-disabled"), task(0))
    made.client.begin_disable_job("disabled", models.BatchJobDisableOptions(disable_tasks="requeue")).wait()
    return "disabled"


def half_submitted(made):
    return made.job(made.run("half"), made.pool("for-half"), all_tasks_complete_mode="noaction")


def no_pool(made):
    return made.job(made.run("no-pool"), "there-is-none", task(0))


def too_many_slots(made):
    return made.job(made.run("wide"), made.pool("narrow"), task(0, required_slots=2))


def waits_for_failed(made):
    made.run("chained", 2)
    last = task(1, depends_on=models.BatchTaskDependencies(task_id_ranges=[models.BatchTaskIdRange(start=0, end=0)]))
    return made.job("chained", made.pool("for-chained"), task(0, FAIL.format(65)), last, uses_task_dependencies=True)


def start_task_failed(made):
    start = models.BatchStartTask(
        command_line="/bin/sh -c 'echo no package libvips; exit 1'", wait_for_success=True, max_task_retry_count=0
    )
    return made.job(made.run("unprepared"), made.pool("bad-start", 2, start_task=start), task(0))


def start_task_failed_by_fault(made):
    made.fault(kind="fail-start-task", exitCode=9, match={"poolId": "faulty-start"})
    start = models.BatchStartTask(command_line="/bin/true", wait_for_success=True)
    return made.job(made.run("faulty"), made.pool("faulty-start", start_task=start), task(0))


def unusable(made):
    return struck(made, "unusable-node", made.pool("for-unusable"))


def lost(made):
    return struck(made, "lose-node", made.pool("for-lost"))


def preempted(made):
    return struck(made, "preempt-node", made.pool("for-preempted", 0, target_low_priority_nodes=1))


def struck(made: Stage, kind: str, pool: str) -> str:
    run = made.run(f"run-{kind}")
    until(lambda: [node.state for node in made.client.list_nodes(pool)] == ["idle"], "an idle node", 10)
    made.fault(kind=kind, match={"poolId": pool})
    return made.job(run, pool, task(0))


def offline(made):
    made.pool("for-offline")
    node = until(lambda: [n for n in made.client.list_nodes("for-offline") if n.state == "idle"], "a node", 10)[0]
    options = models.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option="requeue")
    made.client.disable_node_scheduling("for-offline", node.id, options)
    return made.job(made.run("offline"), "for-offline", task(0))


def preparation_failed(made):
    preparation = models.BatchJobPreparationTask(command_line=FAIL.format(4), wait_for_success=True)
    preparation.constraints = models.BatchTaskConstraints(max_task_retry_count=0)
    return made.job(made.run("barred"), made.pool("for-barred"), task(0), job_preparation_task=preparation)


def autoscale_error(made):
    pool = made.pool("crooked", enable_auto_scale=True, auto_scale_formula="$TargetDedicatedNodes = 1 / 0;")
    return made.job(made.run("crooked-run"), pool, task(0))


def autoscale_zero(made):
    made.job(made.run("unwanted"), "stingy", task(0))
    made.pool("stingy", enable_auto_scale=True, auto_scale_formula="$TargetDedicatedNodes = 0;")
    return "unwanted"


def autoscale_due(made):
    pool = made.pool("patient", enable_auto_scale=True, auto_scale_formula="$TargetDedicatedNodes = 0;")
    return made.job(made.run("early"), pool, task(0))


def pool_at_zero(made):
    return made.job(made.run("zero"), made.pool("empty", 0), task(0))


def nodes_starting(made):
    start = models.BatchStartTask(command_line=SLEEP, wait_for_success=True)
    images = models.BatchContainerConfiguration(type="dockerCompatible", container_image_names=["batchimg:1"])
    return made.job(made.run("soon"), made.pool("slow-start", start_task=start, containers=images), task(0))


def busy(made):
    pool = made.pool("crowded")
    made.client.create_job(
        models.BatchJobCreateOptions(id="somebody", pool_info=models.BatchPoolInfo(pool_id=pool), priority=100)
    )
    made.client.create_task("somebody", task(0))
    until(lambda: made.client.get_job_task_counts("somebody").task_counts.running, "the other job", 10)
    return made.job(made.run("second"), pool, task(0))


def failing(made):
    made.run("half-bad", 2)
    return made.job("half-bad", made.pool("for-failing", 2), task(0, FAIL.format(64)), task(1))


def retried(made):
    again = models.BatchTaskConstraints(max_task_retry_count=50)
    made.run("again", 2)
    return made.job("again", made.pool("for-again", 2), task(0, FAIL.format(69), constraints=again), task(1))


def runs_well(made):
    return made.job(made.run("fine"), made.pool("for-fine"), task(0))


def worker_missing(made):
    return made.job(made.run("naked"), made.pool("for-naked"), task(0, "no-such-worker --run x"))


def ended_from_outside(made):
    made.job(made.run("ended"), made.pool("for-ended", 0), task(0))
    made.client.begin_terminate_job("ended", {"terminateReason": "enough"}).wait()
    return "ended"


def resizing(made):
    return made.job(made.run("resizing"), made.pool("growing", 3), task(0))


def resize_stopped(made):
    made.job(made.run("stopped-resize"), made.pool("halted", 3), task(0))
    made.client.begin_stop_pool_resize("halted").wait()
    return "stopped-resize"


def spot_quota(made):
    pool = made.pool("greedy-spot", 0, target_low_priority_nodes=1)
    return made.job(made.run("no-spot"), pool, task(0))


def core_quota(made):
    """All of the quota is another pool's."""
    made.pool("owner", 1)
    until(lambda: made.client.get_pool("owner").current_dedicated_nodes, "the owner's node", 10)
    return made.job(made.run("no-cores"), made.pool("greedy", 1), task(0))


Pain = tuple[str, str, Callable[[Stage], str], Verdict, str, str]
PAINS: list[Pain] = [
    ("scene", "no-job", no_job, Verdict.BLOCKED, "It has no job", "batchimg submit"),
    (
        "scene",
        "job-disabled",
        job_disabled,
        Verdict.BLOCKED,
        "Its job is disabled",
        "az batch job enable --job-id disabled",
    ),
    ("scene", "half-submitted", half_submitted, Verdict.BLOCKED, "0 tasks were added", "batchimg submit"),
    ("scene", "no-pool", no_pool, Verdict.BLOCKED, "Pool there-is-none does not exist", "pulumi up"),
    (
        "scene",
        "too-many-slots",
        too_many_slots,
        Verdict.BLOCKED,
        "wants 2 slots, and a node of pool narrow has 1",
        "`pool`",
    ),
    (
        "scene",
        "waits-for-failed",
        waits_for_failed,
        Verdict.BLOCKED,
        "waits for task 0, which has failed: exit code 65",
        "cancel chained",
    ),
    ("scene", "start-task-failed", start_task_failed, Verdict.BLOCKED, "no package libvips", "az batch node reboot"),
    (
        "scene",
        "start-task-failed",
        start_task_failed_by_fault,
        Verdict.BLOCKED,
        "with exit code 9",
        "--pool-id faulty-start",
    ),
    (
        "scene",
        "unusable-nodes",
        unusable,
        Verdict.BLOCKED,
        "1 node of pool for-unusable is unusable",
        "az batch node reboot",
    ),
    ("scene", "nodes-lost", lost, Verdict.WAITING, "not heard of", "status --watch"),
    ("scene", "nodes-preempted", preempted, Verdict.WAITING, "taken away by Azure", "dedicated"),
    ("scene", "offline-nodes", offline, Verdict.BLOCKED, "given no tasks", "az batch node scheduling enable"),
    (
        "scene",
        "preparation-failed",
        preparation_failed,
        Verdict.BLOCKED,
        "preparation failed on 1 node with exit code 4",
        "reimage",
    ),
    (
        "scene",
        "autoscale-error",
        autoscale_error,
        Verdict.BLOCKED,
        "autoscale formula of pool crooked fails",
        "pulumi up",
    ),
    ("scene", "autoscale-zero", autoscale_zero, Verdict.BLOCKED, "its autoscale formula wants none", "evaluate"),
    ("scene", "autoscale-due", autoscale_due, Verdict.WAITING, "looks every 15 min", "status --watch"),
    (
        "scene",
        "pool-at-zero",
        pool_at_zero,
        Verdict.BLOCKED,
        "does not scale by itself",
        "az batch pool resize --pool-id empty",
    ),
    (
        "scene",
        "nodes-starting",
        nodes_starting,
        Verdict.WAITING,
        "and 1 container image to be pulled",
        "status --watch",
    ),
    (
        "scene",
        "pool-busy",
        busy,
        Verdict.WAITING,
        "work for 1 other job (1 of them with a higher priority)",
        "status --watch",
    ),
    (
        "scene",
        "tasks-failing",
        failing,
        Verdict.LIMPING,
        "1 task failed: exit code 64, the worker on the nodes is another",
        "logs half-bad --chunk 0",
    ),
    (
        "scene",
        "tasks-failing",
        retried,
        Verdict.LIMPING,
        "and is tried again",
        "logs again --chunk 0",
    ),
    ("scene", "runs", runs_well, Verdict.WELL, "It runs: 1 task at work", ""),
    (
        "scene",
        "tasks-failed",
        worker_missing,
        Verdict.INCOMPLETE,
        "the worker is not installed on the nodes",
        "logs naked",
    ),
    ("scene", "job-ended", ended_from_outside, Verdict.INCOMPLETE, "its job has ended (enough)", "batchimg submit"),
    ("sluggish", "pool-resizing", resizing, Verdict.WAITING, "from 0 to 3 nodes", "status --watch"),
    (
        "sluggish",
        "resize-failed",
        resize_stopped,
        Verdict.BLOCKED,
        "has no nodes: The resize",
        "Somebody stopped the resize",
    ),
    (
        "tight",
        "resize-failed",
        core_quota,
        Verdict.BLOCKED,
        "AccountCoreQuotaReached), ",
        "Ask for more dedicated cores",
    ),
    (
        "tight",
        "resize-failed",
        spot_quota,
        Verdict.BLOCKED,
        "AccountLowPriorityCoreQuotaReached), ",
        "Ask for more Spot cores",
    ),
]


@pytest.mark.parametrize("pain", PAINS, ids=lambda pain: pain[2].__name__)
def test_a_pain_has_a_sentence_and_a_remedy(request, pain):
    account, name, make, verdict, sentence, todo = pain
    made = request.getfixturevalue(account)
    reason = why(made, make(made), name, verdict)
    assert sentence in reason.finding.sentence
    assert todo in reason.finding.todo
    assert reason.finding.sentence.count("\n") == 0
    assert any(line.startswith("run: ") for line in reason.evidence)


def test_what_a_start_task_printed_and_the_age_of_a_resize_error_are_evidence(scene, tight):
    start = models.BatchStartTask(command_line="/bin/sh -c 'echo one; echo two; exit 1'", wait_for_success=True)
    run = scene.job(scene.run("told"), scene.pool("telling", start_task=start), task(0))
    evidence = why(scene, run, "start-task-failed").evidence
    assert evidence[-3:-1] == ("  | one", "  | two")
    quota = why(tight, tight.job(tight.run("aged"), tight.pool("aged-pool", 5), task(0)), "resize-failed")
    error = next(line for line in quota.evidence if line.startswith("resize error, "))
    assert error.split(":")[0].endswith(" ago")


def test_a_resize_error_of_a_pool_that_has_its_nodes_is_no_reason(tight):
    why(tight, tight.job(tight.run("stale"), tight.pool("stale-pool", 9), task(0)), "resize-failed")
    broken = look(tight, "stale")
    assert broken.pool is not None
    whole = replace(broken, pool=replace(broken.pool, current_dedicated=2, target_dedicated=2))
    assert reason_of(whole).finding.name != "resize-failed"


def test_a_failure_that_lets_its_dependants_go_on_blocks_nothing(scene):
    satisfy = models.ExitConditions(default=models.ExitOptions(dependency_action="satisfy"))
    last = task(1, depends_on=models.BatchTaskDependencies(task_ids=["0"]))
    first = task(0, FAIL.format(65), exit_conditions=satisfy)
    run = scene.job(scene.run("loose", 2), scene.pool("for-loose"), first, last, uses_task_dependencies=True)
    why(scene, run, "tasks-failing")
    seen = look(scene, run)
    assert [one.blocks for one in seen.failed] == [False]
    waits = replace(seen.running[0], state="active", waits_for=((0, 0),))
    before = replace(seen, counts=replace(seen.counts, active=1, running=0), running=(), waiting=(waits,))
    assert reason_of(before).finding.name != "waits-for-failed"
    strict = replace(before, failed=(replace(seen.failed[0], blocks=True),))
    assert reason_of(strict).finding.name == "waits-for-failed"


def test_a_task_without_a_chunk_need_not_beat(scene):
    run = scene.job(scene.run("merging", 1), scene.pool("for-merging"), task(1))
    why(scene, run, "runs")
    seen = look(scene, run)
    assert reason_of(replace(seen, at=seen.at + timedelta(minutes=5))).finding.name == "runs"


def test_a_task_that_runs_and_does_not_beat_is_found(scene):
    run = scene.job(scene.run("mute"), scene.pool("for-mute"), task(0))
    why(scene, run, "runs")
    later = look(scene, run)
    finding = reason_of(replace(later, at=later.at + timedelta(minutes=5))).finding
    assert (finding.name, finding.verdict) == ("silent-tasks", Verdict.LIMPING)
    assert "task 0 on node" in finding.sentence


def test_a_beating_task_that_takes_longer_than_others_took_is_a_straggler(scene):
    run = scene.job(scene.run("late", 4), scene.pool("for-late"), task(3))
    runs, now = scene.store.container("runs"), datetime.now(UTC)
    for chunk in range(4):
        last = chunk == 3
        beat = Heartbeat(
            chunk=chunk,
            state="running" if last else "finished",
            done=0 if last else 1,
            failed=0,
            total=1,
            bytes_in=1,
            bytes_out=1,
            node="node-1",
            started=now - timedelta(seconds=900 if last else 100),
            updated=now,
        )
        path = heartbeat_path(run, chunk) if last else result_path(run, chunk)
        runs.write(path, dump(beat), metadata={HEARTBEAT_METADATA: dump(beat).decode()})
    finding = why(scene, run, "stragglers").finding
    assert "chunk 3 has run for 15 min" in finding.sentence
    assert "others took 1 min 40 s" in finding.sentence


def test_an_account_that_does_not_let_us_in_is_no_answer(scene):
    run = scene.run("locked-out")
    finding = reason_of(look(scene, run, batch_key="d3Jvbmc=")).finding
    assert (finding.name, finding.verdict) == ("unreachable", Verdict.NO_ANSWER)
    assert "AuthenticationFailed" in finding.sentence


def test_a_run_that_the_quota_of_jobs_stopped_says_so_later(batchimg, scene, tmp_path):
    pool = scene.pool("for-refused")
    fault = scene.fault(kind="quota", of="jobs")
    assert fault["id"]
    folder = noise(tmp_path / "refused", 1)
    environment = scene.environment | {"BATCHIMG_POOL": pool}
    refused = batchimg("submit", "--dataset", folder, expect=3, **environment)
    assert "quota" in refused.stderr.lower()
    run = next(run for run in batchimg("runs", **environment).stdout.split() if run.startswith("refused-"))
    said = batchimg("why", run, "--json", expect=Verdict.BLOCKED.value, **environment)
    answer = json.loads(said.stdout)
    assert (answer["reason"], answer["verdict"], answer["exit_code"]) == ("job-quota", "blocked", 5)
    again = batchimg("submit", "--dataset", folder, "--wait", **environment)
    assert "1 done" in again.stdout
    said = batchimg("why", run, **environment)
    assert "It is over: all is done (1 image)." in said.stdout.replace("\n", " ")


def test_the_number_of_calls_does_not_grow_with_the_run(scene):
    """A hundred tasks, a hundred heartbeats: as many requests as for one."""

    def calls(run: str) -> int:
        with services_of(scene) as services:
            spec = find_run(services, run)
            asked: list[str] = []
            services.batch._client._config.logging_policy.on_request = lambda request: asked.append(
                request.http_request.url
            )
            take(services, spec)
            return len(asked)

    pool = scene.pool("counted", 0)
    small = scene.job(scene.run("small"), pool, task(0))
    large = scene.job(scene.run("large", 150), pool, *(task(number) for number in range(150)))
    assert calls(large) == calls(small) > 5
