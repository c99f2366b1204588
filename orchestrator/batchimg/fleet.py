"""Fleet: the nodes that a run may have, as the pool tells, or as `pulumi/` makes them where it cannot be asked."""

from batchimg.connect import Services
from batchimg.estimate import Fleet
from batchimg.prices import DEFAULT_SIZE, PriceTable, vcpus_of
from batchimg.settings import Settings

DEFAULT_SPOT, DEFAULT_DEDICATED = 4, 1
SLOTS = 4  # of a size whose name does not tell its vCPUs


def fleet_of(settings: Settings, table: PriceTable, services: Services | None = None) -> Fleet | str:
    """The fleet of the settings' pool; ``services`` is None where nothing is reachable. Or why it has no price.

    The local stack stands for the pool that `pulumi/` makes by default, of the settings' `vm_size`.
    """
    is_local = settings.is_local
    pool = services.batch.pool(settings.pool) if services is not None and not is_local else None
    size = settings.vm_size or (pool.vm_size if pool else DEFAULT_SIZE)
    vm = table.vm(size, settings.vm_price)
    if vm is None:
        return f"the price table has no {size}; set vm_price to what a node costs an hour"
    slots = pool.slots if pool else vcpus_of(size) or SLOTS
    if pool is None:
        return Fleet(vm, slots, DEFAULT_SPOT, DEFAULT_DEDICATED, assumed=True, is_local=is_local)
    spot, dedicated = pool.max_spot or 0, pool.max_dedicated or 0
    if spot + dedicated == 0:  # empty for now, or a formula of somebody else's
        return Fleet(vm, slots, DEFAULT_SPOT, DEFAULT_DEDICATED, assumed=True)
    return Fleet(vm, slots, spot, dedicated)
