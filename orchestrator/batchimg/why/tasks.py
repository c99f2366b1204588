"""Rules about tasks: too large for a node, waiting for others, failing, silent, slow; and that all is well."""

from batchimg.seen import TaskSeen
from batchimg.snapshot import Snapshot
from batchimg.why.finding import WAIT, Finding, Verdict, spoken, stuck
from batchimg.words import count, duration

SILENT_SECONDS = 60.0  # twenty heartbeats
PATIENCE_SECONDS = 30.0  # a task may take so long from its start to its first heartbeat
EXIT_REASONS = {
    1: "the worker met an error that it does not know",
    64: "the worker on the nodes is another version of batchimg than the laptop's",
    65: "its manifest or the run's description is missing or damaged",
    66: "a task that makes a band of its image ended without a result",
    69: "blob storage does not answer the nodes, or does not let them in",
    73: "the disk of the node is full",
    126: "the worker cannot be started on the nodes",
    127: "the worker is not installed on the nodes",
    134: "the worker crashed",
    137: "the worker was killed, mostly for want of memory",
    139: "the worker crashed",
    143: "its node was told to stop",
}


def cause_of(task: TaskSeen) -> str:
    """Why a task failed, in words: by its exit code, or by what the service says."""
    if task.exit_code is not None:
        told = EXIT_REASONS.get(task.exit_code)
        return f"exit code {task.exit_code}" + (f", {told}" if told else "")
    if task.failure is None:
        return "no reason is known"
    if task.failure.code == "CommandProgramNotFound":
        return f"the worker is not installed on the nodes ({task.failure.code})"
    return spoken(task.failure)


def too_many_slots(seen: Snapshot) -> Finding | None:
    """Tasks want more slots than any node of the pool has: they would wait for ever."""
    slots = seen.pool.slots_per_node if seen.pool else None
    large = [task for task in seen.waiting if slots is not None and task.required_slots > slots]
    if not large or slots is None:
        return None
    return Finding(
        "too-many-slots",
        stuck(seen),
        f"Task {large[0].id} wants {count(large[0].required_slots, 'slot')}, and a node of pool {seen.pool_id} has "
        f"{slots}: it would wait for ever.",
        f"Use a pool with at least {large[0].required_slots} slots a node (the setting `pool`), or fewer slots a task.",
    )


def waits_for_failed(seen: Snapshot) -> Finding | None:
    """All that is left waits for tasks that have failed."""
    if seen.counts.running or not seen.waiting:
        return None
    failed = [int(task.id) for task in seen.failed if task.blocks and task.id.isdecimal()]
    blocked = [(task, number) for task in seen.waiting for number in failed if _waits(task, number)]
    if len({task.id for task, _ in blocked}) < min(seen.counts.active, len(seen.waiting)):
        return None
    task, number = blocked[0]
    reason = next(one for one in seen.failed if one.id == str(number))
    return Finding(
        "waits-for-failed",
        Verdict.BLOCKED,
        f"Task {task.id} waits for task {number}, which has failed: {cause_of(reason)}.",
        f"batchimg cancel {seen.run.run}; then the same `batchimg submit` again",
    )


def _waits(task: TaskSeen, number: int) -> bool:
    return any(first <= number <= last for first, last in task.waits_for)


def failing(seen: Snapshot) -> Finding | None:
    """Tasks fail while others are still to come, or are tried again and again."""
    if seen.failed:
        task, what = seen.failed[0], f"{count(seen.counts.failed, 'task')} failed"
    else:
        tried = [task for task in (*seen.running, *seen.waiting) if task.retries]
        if not tried:
            return None
        task = max(tried, key=lambda one: one.retries)
        what = f"task {task.id} has failed {count(task.retries, 'time')} and is tried again"
    reason = cause_of(task) if task.failure or task.exit_code is not None else "its log tells why"
    return Finding(
        "tasks-failing",
        Verdict.LIMPING,
        f"It runs, but {what}: {reason}.",
        f"batchimg logs {seen.run.run} --chunk {task.id}",
    )


def silent(seen: Snapshot) -> Finding | None:
    """Tasks run and have not been heard of for a minute."""
    heard = {beat.chunk: beat.age for beat in seen.beats}
    mute = [(task, age) for task in seen.running if (age := _silence(seen, task, heard)) > SILENT_SECONDS]
    if not mute:
        return None
    task, age = max(mute, key=lambda one: one[1])
    return Finding(
        "silent-tasks",
        Verdict.LIMPING,
        f"It runs, but {count(len(mute), 'task')} cannot be heard: task {task.id} on node {task.node or '?'} "
        f"for {duration(age)}.",
        f"batchimg logs {seen.run.run} --chunk {task.id}; the node may have no way to blob storage",
    )


def _silence(seen: Snapshot, task: TaskSeen, heard: dict[int, float]) -> float:
    """Seconds without a heartbeat; 0 for a task that has no chunk, and so no heartbeat."""
    since = max(0.0, (seen.age(task.since) or 0.0) - PATIENCE_SECONDS)
    if not task.id.isdecimal() or int(task.id) >= seen.run.chunks.total:
        return 0.0
    return min(heard.get(int(task.id), since), since)


def slow(seen: Snapshot) -> Finding | None:
    """Only stragglers are left."""
    run = seen.run
    if not run.slow or seen.counts.active or len(run.slow) < seen.counts.running:
        return None
    worst = run.slow[0]
    return Finding(
        "stragglers",
        Verdict.LIMPING,
        f"It runs, but {count(len(run.slow), 'slow chunk')} are all that is left: chunk {worst.chunk} has run for "
        f"{duration(worst.seconds)}, others took {duration(worst.median)}.",
        f"batchimg logs {run.run} --chunk {worst.chunk}",
    )


def well(seen: Snapshot) -> Finding | None:
    """Tasks run."""
    run, running = seen.run, seen.counts.running
    if not running:
        return None
    left = f", about {duration(run.eta_seconds)} to go" if run.eta_seconds is not None else ""
    return Finding(
        "runs",
        Verdict.WELL,
        f"It runs: {count(running, 'task')} at work, {run.done + run.failed:,} of {count(run.images, 'image')}{left}.",
    )


def about_to_start(seen: Snapshot) -> Finding | None:
    """Tasks are there, nodes are there: the next one starts in a moment, unless a whole minute has gone by."""
    oldest = max((seen.age(task.since) or 0.0 for task in seen.waiting), default=0.0)
    if oldest < SILENT_SECONDS:
        return Finding("about-to-start", Verdict.WAITING, "Its next tasks are about to start.", WAIT)
    return Finding(
        "unexplained",
        Verdict.BLOCKED,
        f"{count(seen.counts.active, 'task')} to do, the first for {duration(oldest)}, and nothing here says why "
        "it does not start.",
        f"az batch task list --job-id {seen.job.id if seen.job else seen.run.run}",
    )
