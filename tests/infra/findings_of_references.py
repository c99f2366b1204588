"""What must hold of every resource that names another: it is one of this stack, and it is waited for."""

import re
from collections.abc import Iterator, Mapping

from wanted import Check

from azure_resources import template_of
from recording import Graph, Made, leaves

NOT_MADE_HERE = "/providers/Microsoft.Authorization/roleDefinitions/"  # Azure's own


def _waited_for(graph: Graph, one: Made) -> list[Made]:
    urns = graph.needs(one)
    return [other for other in graph.made if other.custom and other.urn in urns]


def _is_or_is_in(text: str, other: Made) -> bool:
    within = other.kind != "resources:ResourceGroup" and text.startswith(f"{other.id}/")
    return within or text in {other.id, other.outputs["name"]}


def parents_are_of_this_stack(graph: Graph) -> Iterator[str]:
    """What a resource lies in (a group, an account, a network, a scope) is made before it."""
    for one in (one for one in graph.made if one.custom and one.kind != "resources:ResourceGroup"):
        words = set(re.findall(r"{(\w+)}", template_of(one.type)[0].replace("{group}", "{resourceGroupName}")))
        yield from _not_waited_for(graph, one, {word: str(one.inputs.get(word)) for word in words - {"name"}})


def ids_are_of_this_stack(graph: Graph) -> Iterator[str]:
    """An id in an input is that of a resource which is made before."""
    for one in graph.made:
        texts = {path: value for path, value in leaves(one.inputs) if isinstance(value, str)}
        ids = {path: text for path, text in texts.items() if text.startswith("/subscriptions/")}
        yield from _not_waited_for(graph, one, {path: text for path, text in ids.items() if NOT_MADE_HERE not in text})


def _not_waited_for(graph: Graph, one: Made, named: Mapping[str, str]) -> Iterator[str]:
    """``named`` is path -> the id or the name of something else."""
    waited_for = _waited_for(graph, one) if named else []
    for path, text in sorted(named.items()):
        if not any(_is_or_is_in(text, other) for other in waited_for):
            yield f"{one.kind} {one.name}: {path} is {text}, which it does not wait for"


CHECKS: tuple[Check, ...] = (parents_are_of_this_stack, ids_are_of_this_stack)
