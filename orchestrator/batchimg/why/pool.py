"""Rules about the pool and its nodes."""

from batchimg.seen import NodeSeen, PoolSeen
from batchimg.snapshot import START_FAILED, Snapshot
from batchimg.why.finding import WAIT, Finding, Verdict, ago, last_line, nodes, spoken, stuck
from batchimg.words import count

STARTING = ("creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos")
RESIZE_HINTS = {
    "AccountCoreQuotaReached": "Ask for more dedicated cores (Azure portal, Batch account, Quotas), or: {resize}",
    "AccountLowPriorityCoreQuotaReached": "Ask for more Spot cores (Azure portal, Batch account, Quotas), or: {resize}",
    "AccountVMSeriesCoreQuotaReached": "Ask for more cores of this VM series, or use another VM size: pulumi up",
    "ResizeStopped": "Somebody stopped the resize; again: {resize}",
    "RemoveNodesFailed": "Wait for its tasks, or remove the nodes: {resize}",
}
OTHER_RESIZE_HINT = "Azure may have no such machines now: try later, or another VM size or region; again: {resize}"


def missing(seen: Snapshot) -> Finding | None:
    """There is no such pool, or it is going away."""
    if seen.pool is not None and seen.pool.state == "active":
        return None
    what = "does not exist" if seen.pool is None else "is being deleted"
    return Finding(
        "no-pool",
        Verdict.BLOCKED,
        f"Pool {seen.pool_id} {what}: its tasks wait for it.",
        "`pulumi up` makes it; the setting `pool` names it.",
    )


def start_task_failed(seen: Snapshot) -> Finding | None:
    """Start tasks failed: such nodes cost money and do nothing."""
    number = seen.node_states.get(START_FAILED, 0)
    node = _first(seen, START_FAILED)
    if not number or node is None:
        return None
    said = last_line(node.output)
    code = "" if node.start_exit_code is None else f" with exit code {node.start_exit_code}"
    if not said and node.start_failure and node.start_exit_code is None:
        said = spoken(node.start_failure)
    told = f": {said}" if said else ""
    return Finding(
        "start-task-failed",
        stuck(seen),
        f"The start task failed on {nodes(number)} of pool {seen.pool_id}{code}{ago(seen.age(node.since))}{told}",
        f"Mend it (`pulumi up`), then: az batch node reboot --pool-id {seen.pool_id} --node-id {node.id}",
    )


def unusable(seen: Snapshot) -> Finding | None:
    """Nodes that Azure cannot use: such nodes cost money and do nothing."""
    number = seen.node_states.get("unusable", 0)
    if not number:
        return None
    node = _first(seen, "unusable")
    error = f": {spoken(node.errors[0])}" if node and node.errors else ""
    when = ago(seen.age(node.since)) if node else ""
    return Finding(
        "unusable-nodes",
        stuck(seen),
        f"{nodes(number)} of pool {seen.pool_id} {_are(number)} unusable{when}{error}.",
        f"az batch node reboot --pool-id {seen.pool_id} --node-id {node.id if node else 'NODE'}",
    )


def offline(seen: Snapshot) -> Finding | None:
    """Somebody took nodes out of scheduling."""
    number = seen.node_states.get("offline", 0)
    if not number:
        return None
    node = _first(seen, "offline")
    return Finding(
        "offline-nodes",
        stuck(seen),
        f"{nodes(number)} of pool {seen.pool_id} {_are(number)} given no tasks (offline).",
        f"az batch node scheduling enable --pool-id {seen.pool_id} --node-id {node.id if node else 'NODE'}",
    )


def preparation_failed(seen: Snapshot) -> Finding | None:
    """The job's preparation task failed: its tasks do not run on those nodes."""
    if not seen.preparations:
        return None
    one = seen.preparations[0]
    code = "" if one.exit_code is None else f" with exit code {one.exit_code}"
    return Finding(
        "preparation-failed",
        stuck(seen),
        f"The job's preparation failed on {nodes(len(seen.preparations))}{code}.",
        f"az batch node reimage --pool-id {seen.pool_id} --node-id {one.node}, after its cause is mended",
    )


def autoscale_failed(seen: Snapshot) -> Finding | None:
    """The formula could not be evaluated."""
    scale = seen.pool.autoscale if seen.pool else None
    if scale is None or scale.error is None:
        return None
    detail = next((value for _, value in scale.error.details), "")
    more = f": {detail}" if detail else ""
    return Finding(
        "autoscale-error",
        stuck(seen),
        f"The autoscale formula of pool {seen.pool_id} fails{ago(seen.age(scale.at))}: {spoken(scale.error)}{more}.",
        "Mend the formula: `pulumi up`, or az batch pool autoscale enable",
    )


def resize_failed(seen: Snapshot) -> Finding | None:
    """The last resize did not give the nodes that it should have; a pool that has them has got over its errors."""
    pool = seen.pool
    if pool is None or not pool.resize_errors or pool.allocation != "steady":
        return None
    if pool.current and pool.current >= pool.target:
        return None
    error = pool.resize_errors[0]
    hint = RESIZE_HINTS.get(error.code, OTHER_RESIZE_HINT)
    return Finding(
        "resize-failed",
        stuck(seen),
        f"Pool {pool.id} has {_of(pool)}: {spoken(error)}{ago(seen.age(pool.since))}.",
        hint.format(resize=_resize(pool)),
    )


def no_nodes_wanted(seen: Snapshot) -> Finding | None:
    """The pool is to have no nodes."""
    pool = seen.pool
    if pool is None or pool.target or pool.current or pool.allocation != "steady":
        return None
    scale = pool.autoscale
    if scale is None:
        sentence = f"Pool {pool.id} has no nodes and does not scale by itself."
        return Finding("pool-at-zero", Verdict.BLOCKED, sentence, _resize(pool))
    created = seen.job.created if seen.job else None
    if scale.at is None or (created is not None and scale.at < created):
        minutes = f"{scale.interval.total_seconds() / 60:.0f}" if scale.interval else "15"
        return Finding(
            "autoscale-due",
            Verdict.WAITING,
            f"Pool {pool.id} has no nodes yet: autoscale looks every {minutes} min and has not seen this job.",
            WAIT,
        )
    return Finding(
        "autoscale-zero",
        Verdict.BLOCKED,
        f"Pool {pool.id} has no nodes: its autoscale formula wants none{ago(seen.age(scale.at))} ({scale.results}).",
        "See to the formula: `pulumi up`, or az batch pool autoscale evaluate",
    )


def growing(seen: Snapshot) -> Finding | None:
    """Nodes are on their way."""
    pool = seen.pool
    if pool is None or seen.counts.running:
        return None
    starting = sum(seen.node_states.get(state, 0) for state in STARTING)
    images = f", and {count(len(pool.images), 'container image')} to be pulled" if pool.images else ""
    if starting and not _ready(seen):
        oldest = max((seen.age(node.since) or 0.0 for node in seen.nodes if node.state in STARTING), default=0.0)
        return Finding(
            "nodes-starting",
            Verdict.WAITING,
            f"{nodes(starting)} of pool {pool.id} {_are(starting)} starting, for {oldest:.0f} s so far{images}.",
            WAIT,
        )
    if pool.allocation != "steady" and not _ready(seen):
        return Finding(
            "pool-resizing",
            Verdict.WAITING,
            f"Pool {pool.id} is being resized from {pool.current} to {nodes(pool.target)}"
            f"{ago(seen.age(pool.since)).replace(' ago', '')}.",
            WAIT,
        )
    return None


def lost(seen: Snapshot) -> Finding | None:
    """Spot nodes were taken away, or nodes are not heard of."""
    if seen.counts.running or _ready(seen):
        return None
    for state, name, what in (
        ("preempted", "nodes-preempted", "were taken away by Azure (Spot)"),
        ("unknown", "nodes-lost", "are not heard of any more"),
    ):
        number = seen.node_states.get(state, 0)
        if number:
            return Finding(
                name,
                Verdict.WAITING,
                f"{nodes(number)} of pool {seen.pool_id} {what}: the tasks wait until they are back.",
                f"{WAIT}; or use dedicated nodes: {_resize(seen.pool) if seen.pool else 'pulumi up'}",
            )
    return None


def busy(seen: Snapshot) -> Finding | None:
    """Other jobs have all slots."""
    if seen.counts.running or not seen.rivals or not seen.node_states.get("running") or seen.node_states.get("idle"):
        return None
    priority = seen.job.priority if seen.job else 0
    above = [job for job in seen.rivals if job.priority > priority]
    which = f"{len(above)} of them with a higher priority" if above else "their tasks were there first"
    return Finding(
        "pool-busy",
        Verdict.WAITING,
        f"All nodes of pool {seen.pool_id} work for {count(len(seen.rivals), 'other job')} ({which}).",
        WAIT,
    )


def _ready(seen: Snapshot) -> bool:
    return bool(seen.node_states.get("idle") or seen.node_states.get("running"))


def _first(seen: Snapshot, state: str) -> NodeSeen | None:
    return next((node for node in seen.nodes if node.state == state), None)


def _of(pool: PoolSeen) -> str:
    return f"{pool.current} of {nodes(pool.target)}" if pool.target else "no nodes"


def _resize(pool: PoolSeen) -> str:
    kind = "low-priority" if pool.target_spot > pool.target_dedicated else "dedicated"
    return f"az batch pool resize --pool-id {pool.id} --target-{kind}-nodes N"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
