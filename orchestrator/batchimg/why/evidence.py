"""What a snapshot shows, a line for each part: what a person would look up by hand."""

from collections.abc import Iterator

from batchimg.snapshot import Snapshot
from batchimg.why.finding import ago
from batchimg.why.tasks import cause_of
from batchimg.words import count, duration

MOST_OUTPUT_LINES = 5
MOST_DAMAGE = 5


def evidence_of(seen: Snapshot) -> tuple[str, ...]:
    """The lines, from the run down to its heartbeats."""
    return tuple(line for part in (_job, _damage, _pool, _autoscale, _nodes, _tasks, _beats) for line in part(seen))


def _job(seen: Snapshot) -> Iterator[str]:
    job, run = seen.job, seen.run
    yield f"run: {run.state}, {run.chunks.done:,} of {count(run.chunks.total, 'chunk')} done"
    if job is None:
        yield f"job: none; {count(len(seen.active_jobs), 'active job')} in the account"
        return
    parts = [f"{job.state}{ago(seen.age(job.since))}", f"priority {job.priority}"]
    if job.limit:
        parts.append(f"ends at the latest {job.limit.total_seconds() / 3600:g} h after it began")
    if job.max_parallel > 0:
        parts.append(f"{job.max_parallel} tasks at a time")
    if not job.ends_by_itself:
        parts.append("waits for more tasks to be added")
    if job.termination_reason:
        parts.append(f"ended because: {job.termination_reason}")
    yield f"job {job.id}: {', '.join(parts)}"
    if seen.rivals:
        yield f"other active jobs on the pool: {len(seen.rivals):,}; in the account: {len(seen.active_jobs):,}"


def _damage(seen: Snapshot) -> Iterator[str]:
    for message in seen.damage[:MOST_DAMAGE]:
        yield f"damaged: {message}"


def _pool(seen: Snapshot) -> Iterator[str]:
    pool = seen.pool
    if pool is None:
        if not seen.run.is_over and not seen.unreachable:
            yield f"pool {seen.pool_id}: does not exist"
        return
    yield (
        f"pool {pool.id}: {pool.allocation}{ago(seen.age(pool.since))}, {pool.current_dedicated} of "
        f"{pool.target_dedicated} dedicated and {pool.current_spot} of {pool.target_spot} Spot nodes, "
        f"{count(pool.slots_per_node, 'slot')} a node, {pool.vm_size}"
    )
    for error in pool.resize_errors:
        yield f"resize error{ago(seen.age(pool.since))}: {error}"
    if pool.images:
        yield f"container images pulled before the first task: {', '.join(pool.images)}"


def _autoscale(seen: Snapshot) -> Iterator[str]:
    scale = seen.pool.autoscale if seen.pool else None
    if scale is None:
        return
    every = f"every {duration(scale.interval.total_seconds())}" if scale.interval else "on"
    when = ago(seen.age(scale.at)) if scale.at else ", not evaluated yet"
    yield f"autoscale: {every}{when}; {scale.results or 'no result'}"
    if scale.error:
        yield f"autoscale error: {scale.error}"


def _nodes(seen: Snapshot) -> Iterator[str]:
    if seen.pool is None:
        return
    states = ", ".join(f"{number} {state}" for state, number in sorted(seen.node_states.items()))
    yield f"nodes: {states or 'none'}"
    for node in seen.nodes[:3]:
        parts = [node.state + ago(seen.age(node.since)), *map(str, node.errors)]
        if node.start_failure:
            parts.append(f"start task: {node.start_failure}")
        yield f"node {node.id}: {'; '.join(parts)}"
        for line in node.output.splitlines()[-MOST_OUTPUT_LINES:]:
            yield f"  | {line}"


def _tasks(seen: Snapshot) -> Iterator[str]:
    counts = seen.counts
    if seen.job is None:
        return
    succeeded = counts.completed - counts.failed
    yield f"tasks: {counts.active:,} wait, {counts.running:,} run, {succeeded:,} ended well, {counts.failed:,} failed"
    slots = sorted({task.required_slots for task in (*seen.waiting, *seen.running)})
    if slots and slots[-1] > 1:
        yield f"slots a task wants: {', '.join(map(str, slots))}"
    for task in seen.failed[:3]:
        tried = f" after {count(task.retries, 'retry').replace('retrys', 'retries')}" if task.retries else ""
        yield f"task {task.id} failed{tried}: {cause_of(task)}"
    again = [task for task in (*seen.running, *seen.waiting) if task.retries or task.requeues]
    for task in again[:3]:
        yield f"task {task.id}: failed and tried again {task.retries} times, lost its node {task.requeues} times"


def _beats(seen: Snapshot) -> Iterator[str]:
    if seen.beats:
        oldest = max(seen.beats, key=lambda beat: beat.age)
        yield f"heartbeats: {len(seen.beats):,} chunks begun; the oldest, of chunk {oldest.chunk}{ago(oldest.age)}"
    for slow in seen.run.slow[:3]:
        yield (
            f"slow: chunk {slow.chunk} for {duration(slow.seconds)} on {slow.node}, {slow.done:,} of {slow.total:,} "
            f"images; others took {duration(slow.median)}"
        )
