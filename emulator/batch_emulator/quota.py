"""How many nodes an account may have (quotas, in cores), and how many there are to be had."""

from __future__ import annotations

import re

from batch_emulator.account import Account
from batch_emulator.entities import Failure, Pool

MAX_NODES = 1000
"""Nodes of one kind in one pool: each is a directory of this machine."""

_SIZE = re.compile(r"(?:standard|basic)_[a-z]+(\d+)")
_OLD_SIZE = re.compile(r"(?:standard|basic)_(?:a|d|ds)(\d+)(?:_v2)?")
_OLD_CORES = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
"""Up to 2016 the number in the name of a size was no number of cores."""

_ERRORS = {
    True: ("AccountCoreQuotaReached", "The account has reached its dedicated core quota"),
    False: ("AccountLowPriorityCoreQuotaReached", "The account has reached its low-priority core quota"),
}


def cores(vm_size: str) -> int:
    """The cores of a virtual machine, as its name tells; 1 if it does not."""
    return known_cores(vm_size) or 1


def known_cores(vm_size: str) -> int | None:
    """The cores of a virtual machine; None if its name does not tell."""
    size = vm_size.lower()
    old = _OLD_SIZE.fullmatch(size)
    if old and int(old[1]) in _OLD_CORES:
        return _OLD_CORES[int(old[1])]
    found = _SIZE.match(size)
    return max(1, int(found[1])) if found else None


def count(pool: Pool, *, dedicated: bool) -> int:
    """The nodes of one kind that a pool has, those that are about to leave too."""
    return sum(node.dedicated == dedicated for node in pool.nodes.values())


def allowed(account: Account, pool: Pool, *, dedicated: bool) -> int:
    """How many more nodes of one kind quotas allow."""
    settings = account.settings
    quota = settings.dedicated_core_quota if dedicated else settings.low_priority_core_quota
    room = MAX_NODES - count(pool, dedicated=dedicated)
    if quota is not None:
        used = sum(cores(one.vm_size) * count(one, dedicated=dedicated) for one in account.pools.values())
        room = min(room, (quota - used) // cores(pool.vm_size))
    return max(0, room)


def available(account: Account, *, dedicated: bool) -> int:
    """How many more nodes of one kind are to be had; those that were preempted take no room."""
    capacity = account.capacity.dedicated if dedicated else account.capacity.low_priority
    if capacity is None:
        return MAX_NODES
    nodes = (node for pool in account.pools.values() for node in pool.nodes.values())
    return max(0, capacity - sum(node.dedicated == dedicated and node.state != "preempted" for node in nodes))


def refusal(*, dedicated: bool, missing: int) -> Failure:
    """The resize error of a quota."""
    code, message = _ERRORS[dedicated]
    return Failure("usererror", code, message, (("NodesNotAllocated", str(missing)),))
