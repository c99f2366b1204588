"""The graphs of the real program, each made once, and copies of the program with a fault put in."""

import functools
import shutil
from pathlib import Path

from recording import PROGRAM, Graph, run

ALL_OPTIONS = {
    "worker": "container",
    "network": "vnet",
    "nat_gateway": True,
    "batch_public_access": False,
    "observability": True,
    "application_insights": True,
    "budget": 50,
    "budget_emails": "somebody@example.org",
    "events": True,
    "outputs_days": 365,
}
STACKS = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "defaults": (None, {}),
    "all-options": (None, ALL_OPTIONS),
    "wheel-in-vnet": (None, {"network": "vnet"}),
    "dedicated-only": (None, {"max_spot_nodes": 0, "max_dedicated_nodes": 3}),
    "named-submitters": (None, {"submitters": "6f1c4f7e-5f0e-4d1e-9a39-3f8f3a9d7b11", "submitter_type": "Group"}),
}
"""Name -> the stack's file if it has one, and what is set on top."""


@functools.cache
def graph_of(name: str) -> Graph:
    stack, config = STACKS[name]
    return run(stack, config)


def with_fault(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the program in which one piece of text is another."""
    program = folder / "pulumi"
    shutil.copytree(PROGRAM, program, ignore=shutil.ignore_patterns("__pycache__", "venv"))
    text = (program / file).read_text()
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
    (program / file).write_text(text.replace(old, new))
    return program
