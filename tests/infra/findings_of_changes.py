"""What must hold of a stack that is changed, made anew or destroyed: Azure takes it, and nothing is left."""

import dataclasses
import re
from collections.abc import Iterator

from wanted import Check, equal

from azure_resources import NAMES, SUFFIX, template_of
from recording import Graph, Options

FIXED_OF_POOLS = ("vmSize", "taskSlotsPerNode", "deploymentConfiguration", "networkConfiguration", "identity")
OPTIONS = {
    # "Start date of budgets cannot be updated", and the program gives this month's.
    "consumption:Budget": Options(ignore_changes=("timePeriod",)),
    # Subnets are resources of their own: an update without them would take them away.
    "network:VirtualNetwork": Options(ignore_changes=("subnets",)),
    # Of what has a name of its own, or may be there once only, a second one is a conflict (409).
    "authorization:RoleAssignment": Options(delete_before_replace=True),
    "monitor:DiagnosticSetting": Options(delete_before_replace=True),
    "batch:Pool": Options(delete_before_replace=True, replace_on_changes=FIXED_OF_POOLS),
}
"""Kind -> what the engine must be told; of others nothing but that storage, and what is in it, may be protected."""


def changes_are_made_as_azure_takes_them(graph: Graph) -> Iterator[str]:
    for one in (one for one in graph.made if one.custom):
        options = dataclasses.replace(one.options, protect=False) if one.kind.startswith("storage:") else one.options
        yield from equal(f"{one.kind} {one.name}: options", options, OPTIONS.get(one.kind, Options()))


def names_are_such_as_azure_takes(graph: Graph) -> Iterator[str]:
    """What is given no name has its own in the program, and letters of azure-native's behind it."""
    for one in (one for one in graph.made if one.kind in NAMES):
        naming = template_of(one.type)[1]
        name = str(one.inputs.get(naming) or f"{one.name}{'0' * SUFFIX}")
        if not re.fullmatch(NAMES[one.kind], name):
            yield f"Azure takes no {one.kind} named {name!r}"


CHECKS: tuple[Check, ...] = (changes_are_made_as_azure_takes_them, names_are_such_as_azure_takes)
