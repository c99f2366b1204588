"""A universal lock made particular: what one Python on Linux installs of it, without conditions."""

import re

from packaging.markers import Marker, default_environment


def for_python(lock: str, python: str) -> str:
    """The lock's entries, with their hashes, that hold for a Python such as `3.12`.

    pip judges conditions by the Python that it runs on, which is another one where a bundle is made than where it is
    installed.
    """
    there = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    target = {**there, "platform_python_implementation": "CPython", "implementation_name": "cpython"}
    kept = []
    for entry in _entries(lock):
        requirement, rest = entry.split("\\\n", 1)
        pin, _, condition = requirement.partition(";")
        if not condition or Marker(condition.strip()).evaluate(target):
            kept.append(f"{pin.strip()} \\\n{rest}")
    return "\n".join(kept) + "\n"


def split(lock: str, names: frozenset[str]) -> tuple[str, str]:
    """The entries of these packages, and those of all others."""
    chosen = [entry for entry in _entries(lock) if entry.partition("==")[0] in names]
    others = [entry for entry in _entries(lock) if entry.partition("==")[0] not in names]
    return "\n".join([*chosen, ""]), "\n".join([*others, ""])


def _entries(lock: str) -> list[str]:
    return re.split(r"\n(?=[a-z])", lock.strip())
