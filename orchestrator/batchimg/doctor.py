"""Doctor: look, read only, at what can be wrong between this laptop and an account, and say how to mend it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from batchimg.batch_pool import Pool
from batchimg.connect import Services
from batchimg.errors import ServiceError
from batchimg.management import AccountFacts, Management
from batchimg.words import count
from batchimg_worker.blob_names import INPUTS, OUTPUTS, RUNS
from batchimg_worker.errors import StorageError
from batchimg_worker.version import __version__

Level = Literal["good", "unknown", "warning", "problem"]

SOON = timedelta(days=90)
_BAD_NODES = {"unusable", "starttaskfailed", "unknown"}
_OF_THE_ACCOUNT = {"Unreachable", "AuthenticationFailed", "AuthorizationFailure", "ResourceNotFound"}
"""What storage says that it would say of every container."""
_JOBS = "Microsoft.Batch/batchAccounts/jobs/write"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
_WRITER = "Storage Blob Data Contributor"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it (empty where all is well)."""

    check: str
    level: Level
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the first checks have found, for the later ones."""

    services: Services
    management: Management | None
    now: datetime
    pool: Pool | None


def examine(services: Services, management: Management | None, now: datetime | None = None) -> Iterator[Finding]:
    """Every finding about the services that the settings name, as it is made. Changes nothing.

    ``management`` is None where the account's ARM id is not known.
    """
    yield from _containers(services)
    try:
        pool = services.batch.pool(services.settings.pool)
    except ServiceError as error:
        yield _refused("batch", services.batch.endpoint, error)
        pool = None
    else:
        yield _pool(services, pool)
    looked = _Looked(services, management, now or datetime.now(UTC), pool)
    for check in _CHECKS:
        try:
            yield from check(looked)
        except (ServiceError, StorageError) as error:
            yield Finding(check.__name__.strip("_"), "unknown", error.message, error.hint)


def _containers(services: Services) -> Iterator[Finding]:
    for name in (INPUTS, OUTPUTS, RUNS):
        try:
            next(services.store.container(name).list("no-such-prefix/"), None)
        except StorageError as error:
            yield _refused("storage", services.store.endpoint, error)
            if error.code in _OF_THE_ACCOUNT:
                return
        else:
            yield Finding("storage", "good", f"container {name} answers")


def _refused(service: str, endpoint: str, error: ServiceError | StorageError) -> Finding:
    """What a service says instead of an answer, and where."""
    fix = error.hint or f"Is this the address of the right account? It is the setting `{service}_endpoint`."
    return Finding(service, "problem", f"{endpoint}: {error.message}", fix)


def _pool(services: Services, pool: Pool | None) -> Finding:
    name = services.settings.pool
    if pool is None:
        fix = "`pulumi up` makes it; the setting `pool` names it."
        return Finding("pool", "problem", f"there is no pool {name!r} at {services.batch.endpoint}", fix)
    if pool.state != "active":
        fix = "Wait until it is gone, then `pulumi up` makes it anew."
        return Finding("pool", "problem", f"pool {name!r} is {pool.state}", fix)
    if pool.problems:
        fix = "Often a quota or a size that the region has no room for: see docs/operations.md, incidents."
        return Finding("pool", "problem", f"pool {name!r}: {'; '.join(pool.problems)}", fix)
    return Finding("pool", "good", f"pool {name!r}: {pool.vm_size}, {pool.slots} tasks a node")


def _nodes(looked: _Looked) -> Iterator[Finding]:
    if looked.pool is None:
        return
    counts = looked.services.batch.node_counts(looked.pool.id)
    bad = {state: number for state, number in counts.items() if state.lower().replace("_", "") in _BAD_NODES}
    if bad:
        said = ", ".join(f"{number} {state}" for state, number in sorted(bad.items()))
        fix = "They cost money and take no tasks: read startup/stderr.txt of one, then remove or reboot them."
        yield Finding("nodes", "problem", f"nodes that do not work: {said}", fix)
    else:
        said = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        yield Finding("nodes", "good", f"nodes: {said or 'none, which costs nothing'}")


def _scaling(looked: _Looked) -> Iterator[Finding]:
    pool = looked.pool
    if pool is None or pool.scales or looked.services.is_local:
        return
    nodes = (pool.max_spot or 0) + (pool.max_dedicated or 0)
    if nodes:
        said = f"pool {pool.id!r} does not scale by itself: {count(nodes, 'node')} cost money while nothing runs"
        yield Finding("pool", "warning", said, "az batch pool autoscale enable, or use the pool of `pulumi up`.")


def _image(looked: _Looked) -> Iterator[Finding]:
    image = looked.pool.image if looked.pool else None
    if image is None:
        return
    support = looked.services.batch.image_support(image)
    if support is None:
        fix = "Set one that `az batch pool supported-images list` has in pulumi/worker.py, and run `pulumi up`."
        yield Finding("image", "warning", f"image {image}: Azure Batch does not list it among what it supports", fix)
        return
    ends = support.ends
    if ends is None:
        yield Finding("image", "good", f"image {image}: no end of support is announced")
    elif ends <= looked.now + SOON:
        level: Level = "problem" if ends <= looked.now else "warning"
        fix = "Set a newer image in pulumi/worker.py and run `pulumi up`."
        yield Finding("image", level, f"image {image}: Azure Batch supports it until {ends:%Y-%m-%d}", fix)
    else:
        yield Finding("image", "good", f"image {image}: supported until {ends:%Y-%m-%d}")


def _worker(looked: _Looked) -> Iterator[Finding]:
    if looked.pool is None:
        return
    there = looked.pool.metadata.get("worker_version")
    fix = (
        f"`pulumi config set worker_version {__version__}`, `pulumi up`, `make configure`; or install batchimg {there}."
    )
    if there is None:
        yield Finding("worker", "unknown", "the pool does not tell which worker its nodes have")
    elif there.split(".")[:2] != __version__.split(".")[:2]:
        yield Finding("worker", "problem", f"nodes have worker {there}, this is batchimg {__version__}", fix)
    elif there != __version__:
        yield Finding("worker", "warning", f"nodes have worker {there}, this is batchimg {__version__}", fix)
    else:
        yield Finding("worker", "good", f"nodes have worker {there}, the same as here")


def _bundle(looked: _Looked) -> Iterator[Finding]:
    """The start task's bundle lies where the pool looks for it."""
    store = looked.services.store
    for url in looked.pool.worker_files if looked.pool else ():
        if not url.startswith(f"{store.endpoint}/"):
            continue
        container, _, path = url.removeprefix(f"{store.endpoint}/").partition("/")
        if store.container(container).stat(path) is None:
            yield Finding("worker", "problem", f"{url} is missing: no node can start", "`make configure` sends it.")
        else:
            yield Finding("worker", "good", f"{container}/{path} is there for nodes to install")


def _account(looked: _Looked) -> Iterator[Finding]:
    if looked.management is None:
        yield Finding(
            "quota",
            "unknown",
            "quotas and roles are not looked at: batch_account_id is not set, or the account is an emulator",
        )
        return
    facts = looked.management.account()
    host = _host(looked.services.batch.endpoint)
    if facts.host is not None and facts.host.lower() != host:
        fix = "Set the id of the account that you use: `make configure`, or `az batch account show --query id`."
        said = f"batch_account_id is the account that answers at {facts.host}, and batch_endpoint leads to {host}"
        yield Finding("settings", "problem", said, fix)
        return
    if looked.pool is not None:
        yield from _quota("Spot", facts.spot_cores, looked.pool.max_spot, looked.pool)
        yield from _quota("dedicated", _dedicated(facts, looked.pool), looked.pool.max_dedicated, looked.pool)
    yield from _roles(looked, facts)


def _dedicated(facts: AccountFacts, pool: Pool) -> int | None:
    """The quota of dedicated cores for a pool's size: the account's, or its family's where that is less."""
    size = re.fullmatch(r"(standard)_([a-z]+)[\d-]+([a-z]*)_?(v\d+)?", pool.vm_size.lower())
    family = facts.family_cores.get(f"{''.join(part or '' for part in size.groups())}family") if size else None
    return min((cores for cores in (facts.dedicated_cores, family) if cores is not None), default=None)


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).hostname or ""


def _quota(kind: str, cores: int | None, nodes: int | None, pool: Pool) -> Iterator[Finding]:
    size = re.search(r"_[a-z]+(\d+)", pool.vm_size, re.IGNORECASE)
    if cores is None or not nodes or size is None:
        return
    wanted = nodes * int(size[1])
    if cores < int(size[1]):
        fix = f"Ask for {wanted} cores (portal: Batch account, Quotas), or set the pool's maximum of this kind to 0."
        yield Finding(
            "quota", "problem", f"{kind}: no node can start: one has {size[1]} cores, the quota is {cores}", fix
        )
    elif wanted > cores:
        fix = f"Ask for {wanted} cores (portal: Batch account, Quotas), or lower the pool's maximum."
        yield Finding("quota", "warning", f"{kind}: the pool may want {wanted} cores, the quota is {cores}", fix)
    else:
        yield Finding("quota", "good", f"{kind}: the pool may want {wanted} of {cores} cores")


def _roles(looked: _Looked, facts: AccountFacts) -> Iterator[Finding]:
    management, store = looked.management, _host(looked.services.store.endpoint)
    if management is None:
        return
    wanted = [(management.account_id, _JOBS, "Azure Batch Job Submitter", "the Batch account")]
    if facts.storage_id is None or not store.startswith(f"{facts.storage_id.rpartition('/')[2].lower()}."):
        said = f"roles are not looked at on {store}, which is not the storage of the Batch account"
        yield Finding("roles", "unknown", said, "See that you and the nodes' identity may use its containers.")
    else:
        wanted += [
            (f"{facts.storage_id}/blobServices/default/containers/{name}", _BLOBS, _WRITER, f"container {name}")
            for name in (INPUTS, OUTPUTS, RUNS)
        ]
    for scope, action, role, word in wanted:
        try:
            may = management.may(scope, action)
        except ServiceError as error:
            yield Finding("roles", "unknown", error.message, error.hint)
            continue
        if may:
            yield Finding("roles", "good", f"you may do what {role} may on {word}")
        else:
            fix = f"Add your object id to `submitters` of the stack, or be given {role} there."
            yield Finding("roles", "problem", f"you lack {role} on {word}", fix)


_CHECKS: tuple[Callable[[_Looked], Iterator[Finding]], ...] = (_nodes, _scaling, _image, _worker, _bundle, _account)
