"""Auto scale of pools: samples every 30 seconds, evaluations at each interval, and what they do to the pool."""

from __future__ import annotations

import random
from functools import partial

from batch_emulator import pool_life, quota, usage
from batch_emulator.account import Account
from batch_emulator.autoscale import problems
from batch_emulator.autoscale.evaluator import Outcome, Surroundings, Targets, evaluate, read
from batch_emulator.autoscale.problems import FormulaError
from batch_emulator.autoscale.samples import PERIOD, PERIOD_SECONDS, Sample
from batch_emulator.autoscale.syntax import Statement
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import duration_seconds, timestamp
from batch_emulator.entities import Job, Pool, Spec
from batch_emulator.errors import BatchError, property_error

DEFAULT_INTERVAL = "PT15M"
SHORTEST_INTERVAL, LONGEST_INTERVAL = 300, 168 * 3600
ENABLE_PAUSE = 30 * TICKS_PER_SECOND
_USABLE = frozenset(("idle", "running"))

_MESSAGES = {
    problems.INSUFFICIENT: "Autoscale evaluation failed due to insufficient sample data",
    problems.EVALUATION: "Autoscale evaluation failed due to an error in the formula",
}


def check_interval(interval: str) -> str:
    """An evaluation interval, or InvalidPropertyValue."""
    if not SHORTEST_INTERVAL <= duration_seconds(interval) <= LONGEST_INTERVAL:
        raise property_error("autoScaleEvaluationInterval", interval, "Expected 5 minutes to 168 hours.")
    return interval


def check_formula(formula: str) -> tuple[Statement, ...]:
    """The tree of a formula, or the service's error for one that cannot be read."""
    try:
        return read(formula)
    except FormulaError as error:
        raise BatchError(error.code, ("Reason", str(error))) from error


def begin(account: Account, pool: Pool, formula: str, interval: str) -> None:
    """Scale a pool by a checked formula, first at once and then at each interval."""
    pool.auto_scale = True
    pool.formula, pool.interval = formula, interval
    pool.scaled_since = account.now()
    _evaluate_and_apply(account, pool)
    _set_timer(account, pool)


def enable(account: Account, pool: Pool, formula: str | None, interval: str | None) -> None:
    """Start to scale a pool, or change formula or interval; only another interval starts the schedule anew."""
    pool_life.require_steady(pool)
    now = account.now()
    if pool.scale_asked is not None and now - pool.scale_asked < ENABLE_PAUSE:
        raise BatchError("TooManyEnableAutoScaleRequests")
    if formula is None and not pool.auto_scale:
        raise BatchError("MissingRequiredProperty", ("PropertyName", "autoScaleFormula"))
    if formula is not None:
        check_formula(formula)
    pool.scale_asked = now
    pool.modified = now
    if pool.auto_scale and interval is None:
        pool.formula = formula or pool.formula
    else:
        begin(account, pool, formula or pool.formula or "", interval or DEFAULT_INTERVAL)
    account.journal.pool(pool)


def disable(account: Account, pool: Pool) -> None:
    """Leave a pool at the size it has, or is on its way to."""
    if pool.scale_timer is not None:
        pool.scale_timer.cancel()
    pool.auto_scale, pool.formula, pool.last_run = False, None, None
    pool.modified = account.now()
    account.journal.pool(pool)


def evaluate_only(account: Account, pool: Pool, formula: str) -> Spec:
    """The autoScaleRun of a formula that changes nothing."""
    if not pool.auto_scale:
        raise BatchError("OperationInvalidForCurrentState", ("Reason", "Auto scale is not enabled on the pool."))
    return _run(account, pool, check_formula(formula))[1]


def resume(account: Account) -> None:
    """Go on with the pools that were journaled."""
    for pool in account.pools.values():
        if pool.auto_scale and pool.state == "active":
            _set_timer(account, pool)
    keep_sampling(account)


def _set_timer(account: Account, pool: Pool) -> None:
    """To the next multiple of the interval, so that evaluations do not drift."""
    if pool.scale_timer is not None:
        pool.scale_timer.cancel()
    interval = int(duration_seconds(pool.interval) * TICKS_PER_SECOND)
    rest = interval - (account.now() - pool.scaled_since) % interval
    pool.scale_timer = account.clock.call_later(rest / TICKS_PER_SECOND, partial(_due, account, pool))


def _due(account: Account, pool: Pool) -> None:
    if pool.auto_scale and pool.state == "active":
        _evaluate_and_apply(account, pool)
        _set_timer(account, pool)


def _evaluate_and_apply(account: Account, pool: Pool) -> None:
    outcome, run = _run(account, pool, read(pool.formula or ""))
    pool.last_run = run
    account.journal.pool(pool)
    if outcome.error is None:
        targets = outcome.targets
        pool_life.retarget(account, pool, targets.dedicated, targets.low_priority, targets.option)


def _run(account: Account, pool: Pool, statements: tuple[Statement, ...]) -> tuple[Outcome, Spec]:
    now = account.now()
    targets = Targets(pool.target_dedicated, pool.target_low_priority)
    outcome = evaluate(statements, Surroundings(now, targets, pool.history, pool.slots_per_node, random.random))
    run: Spec = {"timestamp": timestamp(now), "results": outcome.results}
    if outcome.error is not None:
        run["error"] = {
            "code": outcome.error.code,
            "message": _MESSAGES[outcome.error.code],
            "values": [{"name": "Message", "value": str(outcome.error)}],
        }
    return outcome, run


def keep_sampling(account: Account) -> None:
    """Measure all pools every 30 seconds, as long as there are any."""
    if account.next_sample is None and account.pools:
        account.next_sample = account.now() + PERIOD
        account.clock.call_later(PERIOD_SECONDS, partial(_sample, account))


def _sample(account: Account) -> None:
    due = account.next_sample
    if due is None or not account.pools:
        account.next_sample = None
        return
    periods = 1 + (account.now() - due) // PERIOD
    for pool in account.pools.values():
        pool.history.add(Sample(due, _measure(account, pool)))
        core_hours = len(pool.nodes) * quota.cores(pool.vm_size) * PERIOD_SECONDS / 3600
        for moment, number in usage.by_interval(due, PERIOD, periods):
            row = account.usage.add(pool.id, pool.vm_size, moment, number * core_hours)
            account.journal.measured(pool, row)
    account.next_sample = due + PERIOD * periods
    rest = account.next_sample - account.now()
    account.clock.call_later(max(0, rest) / TICKS_PER_SECOND, partial(_sample, account))


def _ready(job: Job) -> int:
    """The tasks of a job that wait for nothing but a slot; each instance of a multi-instance task counts."""
    queued = len(job.special) + sum(map(len, job.ready.values()))
    ready = min(job.counts.active, queued) if job.uses_dependencies else job.counts.active
    return ready + sum(task.traits.instances - 1 for task in job.special if task.traits and task.traits.instances > 1)


def _measure(account: Account, pool: Pool) -> tuple[float | None, ...]:
    """The values of samples.METRICS."""
    nodes = list(pool.nodes.values())
    slots = len(nodes) * pool.slots_per_node
    free = sum(node.free_slots for node in nodes)
    jobs = account.jobs_by_pool.get(pool.id.lower(), {}).values()
    active = float(sum(_ready(job) for job in jobs if job.state == "active"))
    running = float(sum(job.counts.running for job in jobs))
    return (
        (slots - free) / slots if slots else None,
        float(len(nodes)),
        active,
        running,
        active + running,
        float(sum(job.counts.succeeded for job in jobs)),
        float(sum(job.counts.failed for job in jobs)),
        float(quota.count(pool, dedicated=True)),
        float(quota.count(pool, dedicated=False)),
        float(sum(node.state == "preempted" for node in nodes)),
        float(sum(node.state in _USABLE for node in nodes)),
    )
