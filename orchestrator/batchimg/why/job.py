"""Rules about a run as a whole and its job: over, never begun, disabled, half submitted."""

from batchimg.snapshot import Snapshot
from batchimg.why.finding import Finding, Verdict, ago
from batchimg.why.tasks import cause_of
from batchimg.words import count

CANCELLED = "cancelled"
EXPIRED = "MaxWallClockTimeExpiry"
SAME_SUBMIT = "Type the same `batchimg submit` again: it does what is missing."


def unreachable(seen: Snapshot) -> Finding | None:
    """Azure Batch does not answer, or does not let us in."""
    if not seen.unreachable or seen.run.state == "completed":
        return None
    return Finding(
        "unreachable",
        Verdict.NO_ANSWER,
        f"Azure Batch tells nothing: {seen.unreachable}.",
        "See to the network and to `az login`; locally: batchimg local status",
    )


def being_deleted(seen: Snapshot) -> Finding | None:
    """A deletion was begun and has not come to its end."""
    if seen.run.state != "deleting":
        return None
    return Finding(
        "deleting",
        Verdict.INCOMPLETE,
        "It is being deleted: somebody is at it, or was interrupted.",
        f"batchimg delete {seen.run.run}",
    )


def over_damaged(seen: Snapshot) -> Finding | None:
    """Documents of a run that is over cannot be read: what they told is not known, whatever the counts say."""
    if not seen.damage or not seen.run.is_over:
        return None
    return Finding("damaged", Verdict.INCOMPLETE, f"It is over, and {_damage(seen)}.", SAME_SUBMIT)


def standing_damaged(seen: Snapshot) -> Finding | None:
    """The same of a run of which nothing runs just now: tasks that need them fail."""
    if not seen.damage or seen.run.is_over:
        return None
    return Finding(
        "damaged",
        Verdict.BLOCKED,
        f"Nothing of it runs, and {_damage(seen)}.",
        f"batchimg cancel {seen.run.run}; then the same `batchimg submit` again: it writes anew what is missing",
    )


def _damage(seen: Snapshot) -> str:
    more = f", and {len(seen.damage) - 1:,} more like it" if len(seen.damage) > 1 else ""
    return f"{seen.damage[0]}{more}: chunks of which that is the record count as not done"


def over_well(seen: Snapshot) -> Finding | None:
    """Every image is done."""
    run = seen.run
    if not run.all_done:
        return None
    return Finding(
        "done",
        Verdict.WELL,
        f"It is over: all is done ({count(run.images, 'image')}).",
        f"batchimg download {run.run} --to results",
    )


def over_with_failures(seen: Snapshot) -> Finding | None:
    """Every chunk has a result, and images are recorded as failed."""
    run = seen.run
    if run.state != "completed":
        return None
    causes = ", ".join(f"{number:,} {cause}" for cause, number in list(run.causes.items())[:3])
    return Finding(
        "images-failed",
        Verdict.INCOMPLETE,
        f"It is over: {run.failed:,} of {count(run.images, 'image')} failed" + (f" ({causes})." if causes else "."),
        f"batchimg gallery {run.run}",
    )


def over_cancelled(seen: Snapshot) -> Finding | None:
    """The user ended it."""
    if seen.run.state != CANCELLED:
        return None
    sentence = f"It is over: it was cancelled with {count(seen.run.lost, 'image')} not reached."
    return Finding("cancelled", Verdict.INCOMPLETE, sentence, SAME_SUBMIT)


def over_expired(seen: Snapshot) -> Finding | None:
    """The job's wall clock ended it."""
    job = seen.job
    if seen.run.state != "failed" or job is None or job.termination_reason != EXPIRED:
        return None
    hours = f"{job.limit.total_seconds() / 3600:g} h" if job.limit else "its time"
    if job.ends_by_itself:
        return Finding(
            "time-over",
            Verdict.INCOMPLETE,
            f"It is over: its job was ended after {hours} with {count(seen.run.lost, 'image')} not reached.",
            "Type the same `batchimg submit` again with a larger --max-hours: it does what is missing.",
        )
    return Finding(
        "submit-died",
        Verdict.INCOMPLETE,
        f"It is over: its submit died before all tasks were added, and the job was ended after {hours}.",
        SAME_SUBMIT,
    )


def gone(seen: Snapshot) -> Finding | None:
    """Tasks have run, and there is no job any more."""
    if seen.run.state != "failed" or seen.job is not None:
        return None
    sentence = f"It is over: its job was deleted with {count(seen.run.lost, 'image')} not reached."
    return Finding("job-gone", Verdict.INCOMPLETE, sentence, SAME_SUBMIT)


def over_badly(seen: Snapshot) -> Finding | None:
    """The job has ended and chunks have no result."""
    if seen.run.state != "failed":
        return None
    lost = count(seen.run.lost, "image")
    if seen.failed:
        task = seen.failed[0]
        return Finding(
            "tasks-failed",
            Verdict.INCOMPLETE,
            f"It is over: {count(seen.counts.failed, 'task')} failed and {lost} were not reached: {cause_of(task)}.",
            f"batchimg logs {seen.run.run} --chunk {task.id}; then the same `batchimg submit` again",
        )
    error = seen.job.scheduling_error if seen.job else None
    reason = str(error or "") or (seen.job.termination_reason if seen.job else "")
    told = f" ({reason})" if reason else ""
    return Finding(
        "job-ended", Verdict.INCOMPLETE, f"It is over: its job has ended{told} with {lost} not reached.", SAME_SUBMIT
    )


def refused(seen: Snapshot) -> Finding | None:
    """Azure Batch refused to make the job."""
    if seen.job is not None or seen.refusal is None:
        return None
    when = ago(seen.age(seen.refusal.at))
    if seen.refusal.code == "ActiveJobAndScheduleQuotaReached":
        return Finding(
            "job-quota",
            Verdict.BLOCKED,
            "It has no job: the account's quota of active jobs is reached "
            f"({len(seen.active_jobs):,} are active{when}).",
            "End one: batchimg cancel RUN, or ask for a larger quota; then the same `batchimg submit` again",
        )
    return Finding("job-refused", Verdict.BLOCKED, f"It has no job: {seen.refusal.message}{when}.", SAME_SUBMIT)


def no_job(seen: Snapshot) -> Finding | None:
    """The submit was interrupted before the job, or the job was deleted before a task of it ran."""
    if seen.job is not None:
        return None
    sentence = "It has no job: its submit was interrupted or is not there yet, or somebody deleted the job."
    return Finding("no-job", Verdict.BLOCKED, sentence, SAME_SUBMIT)


def disabled(seen: Snapshot) -> Finding | None:
    """Somebody disabled the job."""
    job = seen.job
    if job is None or job.state not in {"disabled", "disabling"}:
        return None
    return Finding(
        "job-disabled",
        Verdict.BLOCKED,
        f"Its job is {job.state}{ago(seen.age(job.since))}: no task is started.",
        f"az batch job enable --job-id {job.id}",
    )


def half_submitted(seen: Snapshot) -> Finding | None:
    """All tasks that are there are done, and the job still waits for more."""
    job = seen.job
    if job is None or job.state != "active" or job.ends_by_itself or seen.counts.active or seen.counts.running:
        return None
    there = seen.counts.completed
    return Finding(
        "half-submitted",
        Verdict.BLOCKED,
        f"Its submit is not finished: {there:,} tasks were added, and its job waits for more.",
        "Is it still running? Then wait. If it died, " + SAME_SUBMIT[0].lower() + SAME_SUBMIT[1:],
    )
