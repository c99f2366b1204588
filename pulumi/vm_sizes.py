"""The sizes of nodes that a pool may have."""

import re

OLDEST_GENERATION = 5  # Azure takes D, Ds, Dv2, Dsv2 and others of that age out of service in 2028
_SIZE = re.compile(
    r"Standard_(?P<family>[DEF])(?P<vcpus>\d+)(-(?P<active>\d+))?(?P<features>[a-z]*)_v(?P<generation>\d+)"
)


def vcpus(vm_size: str) -> int:
    """The vCPUs of a size such as `Standard_D4ads_v5`. Raises ValueError for one that a pool should not have."""
    match = _SIZE.fullmatch(vm_size)
    if match is None or int(match["generation"]) < OLDEST_GENERATION:
        raise ValueError(f"expected a D, E or F size of generation {OLDEST_GENERATION} or later, Standard_D4ads_v5 say")
    if "p" in match["features"]:
        raise ValueError("Arm processors: the worker is built for x64")
    if "d" not in match["features"] or "s" not in match["features"]:
        raise ValueError("expected a size with a temporary disk and premium storage, `d` and `s` in its name")
    return int(match["active"] or match["vcpus"])
