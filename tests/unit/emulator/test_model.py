"""Pools, jobs and tasks driven at random; what must always be true is looked at after each step.

BATCHIMG_MODEL_EXAMPLES=2000 makes it a long search.
"""

import os
import shutil
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from batch_emulator import endings, node_life, node_loss, preparation, scheduler
from batch_emulator.account import Settings
from batch_emulator.clock import ManualClock
from batch_emulator.errors import BatchError
from batch_emulator.operations import jobs, nodes, pools, tasks
from batch_emulator.service import build_account

EXAMPLES = int(os.environ.get("BATCHIMG_MODEL_EXAMPLES", "40"))
STEPS = 40
POOLS, JOBS = ("p0", "p1"), ("j0", "j1", "j2")
pick = st.integers(0, 10**6)


class Model(RuleBasedStateMachine):
    """The emulator, with a clock and a launcher in our hands; `world_class` comes from the fixtures."""

    world_class = None
    launcher_class = None

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="model-"))
        clock, launcher = ManualClock(), self.launcher_class()
        self.world = self.world_class(
            build_account(Settings(recovery_delay=1.0), self.root, clock, launcher), clock, launcher
        )
        self.account = self.world.account
        self.added = 0

    def teardown(self):
        for thread in threading.enumerate():
            if thread.name == "batch-emulator-trash":
                thread.join(10)
        shutil.rmtree(self.root, ignore_errors=True)

    def wish(self, operation, body=None, **path):
        """Ask for something that may not be possible now."""
        with suppress(BatchError):
            self.world.call(operation, body, **path)
        self.world.settle()

    def a_node(self, number):
        found = [node for pool in self.account.pools.values() for node in pool.nodes.values()]
        return found[number % len(found)] if found else None

    def a_task(self, number):
        found = [task for job in self.account.jobs.values() for task in job.tasks.values()]
        return found[number % len(found)] if found else None

    @initialize(
        slots=st.sampled_from((1, 1, 2, 3)),
        prepared=st.booleans(),
        led=st.booleans(),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        count=st.integers(3, 8),
    )
    def begin(self, slots, prepared, led, flags, count):
        """Something to start with, so that most steps meet tasks that run."""
        self.world.pool("p0", 2, slots, targetLowPriorityNodes=1, enableInterNodeCommunication=True)
        self.add_job("j0", "p0", 0, -1, prepared, led, flags)
        for number in range(count):
            self.add_task("j0", 1 + number % slots, number % 2, [], 2 * (number == 1), "run")

    # pools and nodes

    @rule(
        pool_id=st.sampled_from(POOLS),
        count=st.integers(0, 3),
        spot=st.integers(0, 1),
        slots=st.integers(1, 3),
        fill=st.sampled_from(("pack", "spread")),
    )
    def add_pool(self, pool_id, count, spot, slots, fill):
        with suppress(BatchError):
            self.world.pool(
                pool_id,
                count,
                slots,
                targetLowPriorityNodes=spot,
                enableInterNodeCommunication=True,
                taskSchedulingPolicy={"nodeFillType": fill},
            )

    @rule(
        pool_id=st.sampled_from(POOLS), count=st.integers(0, 3), option=st.sampled_from(("requeue", "taskcompletion"))
    )
    def resize(self, pool_id, count, option):
        body = {"targetDedicatedNodes": count, "nodeDeallocationOption": option}
        self.wish(pools.resize, body, poolId=pool_id)

    @rule(pool_id=st.sampled_from((*POOLS, None, None)))
    def delete_pool(self, pool_id):
        if pool_id is not None:
            self.wish(pools.delete, poolId=pool_id)

    @rule(number=pick, option=st.sampled_from(("requeue", "terminate", "taskcompletion")))
    def reboot(self, number, option):
        node = self.a_node(number)
        if node is not None:
            self.wish(nodes.reboot, {"nodeRebootOption": option}, poolId=node.pool.id, nodeId=node.id)

    @rule(number=pick, what=st.sampled_from(("preempt", "lose", "make_unusable", "disable", "enable")))
    def upset(self, number, what):
        node = self.a_node(number)
        if node is None:
            return
        with suppress(BatchError):
            if what == "disable":
                node_life.disable_scheduling(self.account, node, "requeue")
            elif what == "enable":
                node_life.enable_scheduling(self.account, node)
            else:
                getattr(node_loss, what)(self.account, node)
        self.world.settle()

    # jobs

    @rule(
        job_id=st.sampled_from(JOBS),
        pool_id=st.sampled_from(POOLS),
        priority=st.integers(-1, 1),
        parallel=st.sampled_from((-1, -1, 1, 2)),
        prepared=st.booleans(),
        led=st.booleans(),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def add_job(self, job_id, pool_id, priority, parallel, prepared, led, flags):
        body = {"id": job_id, "poolInfo": {"poolId": pool_id}, "priority": priority, "maxParallelTasks": parallel}
        body |= {"usesTaskDependencies": True, "allowTaskPreemption": flags[0]}
        if flags[1]:
            body["onTaskFailure"] = "performexitoptionsjobaction"
        if prepared:
            body["jobPreparationTask"] = {"commandLine": "x", "waitForSuccess": flags[2]}
            body["jobReleaseTask"] = {"commandLine": "x"}
        if led:
            leader = {"id": "lead", "commandLine": "x", "runExclusive": flags[2], "killJobOnCompletion": flags[0]}
            body["jobManagerTask"] = leader
        self.wish(jobs.create, body)

    @rule(job_id=st.sampled_from(JOBS), option=st.sampled_from(("requeue", "terminate", "wait")))
    def disable_job(self, job_id, option):
        self.wish(jobs.disable, {"disableTasks": option}, jobId=job_id)

    @rule(job_id=st.sampled_from(JOBS), change=st.sampled_from((jobs.enable, jobs.enable, jobs.terminate, jobs.delete)))
    def change_job(self, job_id, change):
        self.wish(change, {} if change is jobs.terminate else None, jobId=job_id)

    @rule(job_id=st.sampled_from(JOBS), complete=st.booleans(), priority=st.integers(-1, 1))
    def patch_job(self, job_id, complete, priority):
        body = {"priority": priority} | ({"onAllTasksComplete": "terminatejob"} if complete else {})
        self.wish(jobs.patch, body, jobId=job_id)

    # tasks

    @rule(
        job_id=st.sampled_from(JOBS),
        slots=st.integers(1, 3),
        retries=st.integers(0, 1),
        after=st.lists(st.integers(0, 12), max_size=2),
        instances=st.sampled_from((0, 0, 0, 0, 2)),
        command=st.sampled_from(("run", "run", "run", "missing")),
    )
    def add_task(self, job_id, slots, retries, after, instances, command):
        body = {"id": str(self.added), "commandLine": command, "constraints": {"maxTaskRetryCount": retries}}
        if instances:
            body["multiInstanceSettings"] = {"numberOfInstances": instances, "coordinationCommandLine": "x"}
        else:
            body["requiredSlots"] = slots
        if after:
            body["dependsOn"] = {"taskIds": [str(number) for number in after]}
        job = self.account.jobs.get(job_id)
        open_before = job is not None and job.state not in ("completed", "terminating", "deleting")
        try:
            self.world.call(tasks.create, body, jobId=job_id)
        except BatchError:
            assert not open_before
        else:
            assert open_before
            self.added += 1
        self.world.settle()

    @rule(number=pick, change=st.sampled_from((tasks.terminate, tasks.delete, tasks.reactivate)))
    def change_task(self, number, change):
        task = self.a_task(number)
        if task is not None:
            self.wish(change, jobId=task.job.id, taskId=task.id)

    # what happens by itself

    @rule(number=pick, code=st.sampled_from((0, 0, 0, 1)))
    def end_process(self, number, code):
        running = self.world.launcher.running
        if not running:
            return
        process = running.pop(number % len(running))
        process.ended(143 if process.stopped else code)
        self.world.settle()

    @rule(count=st.integers(1, 6))
    def end_well(self, count):
        for _ in range(count):
            self.end_process(0, 0)

    @rule()
    def end_all(self):
        for _ in range(len(self.world.launcher.running)):
            self.end_process(0, 0)

    @rule(number=pick)
    def end_one(self, number):
        self.end_process(number, 0)

    @rule()
    def end_stopped(self):
        self.world.end_stopped()

    @rule(seconds=st.sampled_from((0.2, 1.0, 10.0)))
    def pass_time(self, seconds):
        self.world.settle(seconds)

    # what must always be true

    @invariant()
    def tasks_run_only_on_nodes_that_are_there(self):
        for task, run in self.account.runs.items():
            for node in run.nodes:
                assert self.account.pools[node.pool.id].nodes[node.id] is node
                assert task in node.running
            assert task.state in ("preparing", "running")
            assert task in task.job.occupied

    @invariant()
    def slots_are_never_given_twice(self):
        for pool in self.account.pools.values():
            for node in pool.nodes.values():
                used = sum(endings.slots_on(task, node) for task in node.running)
                assert node.free_slots == pool.slots_per_node - used >= 0
                assert all(task in self.account.runs for task in node.running)
                assert not (node.state == "idle" and node.running)

    @invariant()
    def counts_are_those_of_the_list(self):
        for job in self.account.jobs.values():
            assert [task for task in job.order if task is not None] == list(job.tasks.values())
            groups = Counter(self.group(task) for task in job.tasks.values())
            slots = Counter()
            for task in job.tasks.values():
                slots[self.group(task)] += task.required_slots
            for counts, expected in ((job.counts, groups), (job.slot_counts, slots)):
                found = {name: getattr(counts, name) for name in ("active", "running", "succeeded", "failed")}
                assert found == {name: expected[name] for name in found}

    @staticmethod
    def group(task):
        if task.state == "completed":
            return "failed" if task.failure else "succeeded"
        return "active" if task.state == "active" else "running"

    @invariant()
    def nothing_of_an_ended_job_runs(self):
        for job in self.account.jobs.values():
            assert job.occupied == {task for task in self.account.runs if task.job is job}
            if job.state in ("completed", "disabled"):
                assert not job.occupied
            if job.state == "completed":
                assert not job.preparing
                assert not job.releasing

    @invariant()
    def who_waits_has_a_reason(self):
        for job in self.account.jobs.values():
            for task in job.tasks.values():
                if task.state == "active" and job.state == "active" and not task.waits_for:
                    assert task.queued
                    assert self.reason_to_wait(job, task)

    def reason_to_wait(self, job, task):
        pool = self.account.pools.get(job.pool_id)
        if pool is None or pool.state != "active" or not scheduler.has_room(job):
            return True
        if any(other.traits and other.traits.leads for other in job.special):
            return True  # the job's first task waits for a whole node
        open_nodes = [node for node in pool.nodes.values() if not preparation.is_barred(job, node)]
        if task.traits is not None:
            return not scheduler.places(task, pool, open_nodes)
        return not any(scheduler.is_free(node) and node.free_slots >= task.required_slots for node in open_nodes)


def test_what_must_always_be_true_is(world):
    Model.world_class, Model.launcher_class = type(world), type(world.launcher)
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=EXAMPLES <= 40,
            suppress_health_check=list(HealthCheck),
        ),
    )
