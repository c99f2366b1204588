"""The words in which checks of a graph are written."""

from collections.abc import Callable, Iterator

from recording import Graph, Made

Check = Callable[[Graph], Iterator[str]]


def wanted(one: Made, **values: object) -> Iterator[str]:
    """A line for each input that is not as wanted."""
    for name, value in values.items():
        yield from equal(f"{one.kind} {one.name}: {name}", one.inputs.get(name), value)


def equal(what: str, value: object, expected: object) -> Iterator[str]:
    """A line if a value is not the expected one."""
    if value != expected:
        yield f"{what} is {value!r}, not {expected!r}"


def identity_of(graph: Graph, whose: str) -> Made:
    """The identity of the nodes (`pool`) or of the Batch account (`account`)."""
    return next(one for one in graph.of("managedidentity:UserAssignedIdentity") if one.name.endswith(f"-{whose}"))


def principal_of(graph: Graph, whose: str) -> str:
    """The principal of that identity, to which roles are given."""
    return str(identity_of(graph, whose).outputs["principalId"])
