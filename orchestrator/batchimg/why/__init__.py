"""Why a run does not run: one sentence, what to type, and the evidence, from a snapshot; values in, values out."""

from dataclasses import dataclass

from batchimg.snapshot import Snapshot
from batchimg.why import job, pool, tasks
from batchimg.why.evidence import evidence_of
from batchimg.why.finding import Finding, Rule, Verdict

__all__ = ["RULES", "Finding", "Reason", "Verdict", "reason_of"]

RULES: tuple[Rule, ...] = (
    job.unreachable,
    job.being_deleted,
    job.over_damaged,
    job.over_well,
    job.over_with_failures,
    job.over_cancelled,
    job.over_expired,
    job.gone,
    job.over_badly,
    job.refused,
    job.no_job,
    job.disabled,
    job.half_submitted,
    pool.missing,
    tasks.too_many_slots,
    tasks.waits_for_failed,
    pool.start_task_failed,
    pool.unusable,
    pool.preparation_failed,
    pool.autoscale_failed,
    pool.resize_failed,
    pool.no_nodes_wanted,
    pool.growing,
    pool.lost,
    pool.offline,
    pool.busy,
    job.standing_damaged,
    tasks.failing,
    tasks.silent,
    tasks.slow,
    tasks.well,
    tasks.about_to_start,
)
"""The first that finds something gives the reason; the last one always does."""

FINAL = (Verdict.INCOMPLETE, Verdict.NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Reason:
    """The answer: ``finding`` in the first place, ``also`` what else is wrong, ``evidence`` a line each."""

    run: str
    finding: Finding
    also: tuple[Finding, ...]
    evidence: tuple[str, ...]


def reason_of(seen: Snapshot) -> Reason:
    """Why a run is as it is."""
    found = [finding for rule in RULES if (finding := rule(seen)) is not None]
    first, *rest = found
    final = first.verdict in FINAL or seen.run.is_over or seen.job is None
    also = () if final else tuple(one for one in rest if one.verdict in {Verdict.BLOCKED, Verdict.LIMPING})
    return Reason(seen.run.run, first, _without_fallback(also), evidence_of(seen))


def _without_fallback(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(one for one in findings if one.name != "unexplained")
