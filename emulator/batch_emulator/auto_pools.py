"""Pools that the service makes for a job, or for the jobs of a schedule, and takes away after them."""

from __future__ import annotations

import uuid

from batch_emulator import pool_life
from batch_emulator.account import Account
from batch_emulator.entities import Job, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.ids import check_id
from batch_emulator.operations import pools
from batch_emulator.schedule import JobSchedule
from batch_emulator.validation import body_check

AUTO_POOL = "autoPoolSpecification"
MAX_PREFIX = 20


def check(spec: Spec, *, scheduled: bool) -> None:
    """Refuse an autoPoolSpecification from which no pool could be made."""
    place = f"poolInfo.{AUTO_POOL}"
    if "pool" not in spec:
        raise BatchError("MissingRequiredProperty", ("PropertyName", f"{place}.pool"))
    if spec["poolLifetimeOption"] == "jobschedule" and not scheduled:
        option = spec["poolLifetimeOption"]
        raise property_error(f"{place}.poolLifetimeOption", option, "Only the jobs of a job schedule can share a pool.")
    prefix = spec.get("autoPoolIdPrefix", "")
    if len(prefix) > MAX_PREFIX:
        raise property_error(f"{place}.autoPoolIdPrefix", prefix, f"At most {MAX_PREFIX} characters.")
    if prefix:
        check_id(prefix, f"{place}.autoPoolIdPrefix")
    body_check("BatchPoolCreateOptions")(spec["pool"] | {"id": _new_id(prefix)}, "")


def _new_id(prefix: str) -> str:
    unique = str(uuid.uuid4()).upper()
    return f"{prefix}_{unique}" if prefix else unique


def create(account: Account, spec: Spec) -> str:
    """Make a pool and give its id; BatchError as when a client makes one."""
    pool_id = _new_id(spec.get("autoPoolIdPrefix", ""))
    pools.make(account, body_check("BatchPoolCreateOptions")(spec["pool"] | {"id": pool_id}, ""))
    return pool_id


def job_ended(account: Account, job: Job) -> None:
    """A job has ended: its own pool goes, unless it is to stay."""
    spec = job.spec.get(AUTO_POOL)
    if spec is not None and spec["poolLifetimeOption"] == "job":
        _end(account, job.pool_id, spec)


def schedule_ended(account: Account, schedule: JobSchedule) -> None:
    """A schedule has ended: the pool that its jobs shared goes, unless it is to stay."""
    spec = schedule.job_spec["poolInfo"].get(AUTO_POOL)
    if spec is not None and schedule.pool_id is not None:
        _end(account, schedule.pool_id, spec)


def _end(account: Account, pool_id: str, spec: Spec) -> None:
    pool = account.pools.get(pool_id.lower())
    if pool is not None and pool.state == "active" and not spec.get("keepAlive", False):
        pool_life.delete(account, pool)
