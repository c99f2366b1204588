"""The sizes of nodes that a pool may have."""

import re

OLDEST_GENERATION = 5  # Azure takes D, Ds, Dv2, Dsv2 and others of that age out of service in 2028
OLDEST_F = 6  # there is no F of the fifth
VCPUS = {1, 2, 4, 8, 16, 20, 32, 48, 64, 72, 80, 96, 104, 112, 128, 160, 176, 192}
ACTIVE = VCPUS | {24}  # of sizes such as Standard_E96-24ads_v5, which have some of their vCPUs switched off
_SIZE = re.compile(
    r"Standard_(?P<family>[DEF])(?P<vcpus>[0-9]+)(-(?P<active>[0-9]+))?(?P<features>[a-z]*)_v(?P<generation>[0-9])"
)


def vcpus(vm_size: str) -> int:
    """The vCPUs of a size such as `Standard_D4ads_v5`. Raises ValueError for one that a pool should not have."""
    match = _SIZE.fullmatch(vm_size)
    oldest = OLDEST_F if match and match["family"] == "F" else OLDEST_GENERATION
    if match is None or int(match["generation"]) < oldest:
        raise ValueError(f"expected a D, E or F size of generation {OLDEST_GENERATION} or later, Standard_D4ads_v5 say")
    if "p" in match["features"]:
        raise ValueError("Arm processors: the worker is built for x64")
    if "d" not in match["features"] or "s" not in match["features"]:
        raise ValueError("expected a size with a temporary disk and premium storage, `d` and `s` in its name")
    whole, active = int(match["vcpus"]), int(match["active"] or match["vcpus"])
    if whole not in VCPUS or active not in ACTIVE or active > whole:
        raise ValueError(
            f"no size has {match['vcpus']} vCPUs{' of which ' + match['active'] if match['active'] else ''}"
        )
    return active
