"""What must hold of roles: everybody has the least that does, on the smallest thing that it can be given for."""

from collections.abc import Iterator

from wanted import Check, equal, principal_of

from recording import Graph

CONTRIBUTOR, READER = "ba92f5b4-2d11-453d-a403-e96b0029c9fe", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
ACR_PULL, ACR_PUSH = "7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec"
QUEUE_SENDER, QUEUE_READER = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", "8a0f0c08-91a1-4084-bc3d-661d67233fed"
SUBMITTER, BATCH_READER = "48e5e92e-a480-4e71-aa9c-2778f4c13781", "11076f67-66f6-4be0-8f6b-f0609fd05cc9"

Role = tuple[str, str]  # the role's definition, the ARM id that it is given for


def _given(graph: Graph) -> dict[str, set[Role]]:
    """Principal -> its roles."""
    given: dict[str, set[Role]] = {}
    for one in graph.of("authorization:RoleAssignment"):
        role = one.inputs["roleDefinitionId"].rsplit("/", 1)[-1]
        given.setdefault(one.inputs.get("principalId", "nobody"), set()).add((role, one.inputs["scope"]))
    return given


def _id(graph: Graph, kind: str, name: str | None = None) -> str:
    """The id of the only resource of a kind, or of the container of a name."""
    return next(one.id for one in graph.of(kind) if name is None or one.outputs["name"] == name)


def _on_containers(graph: Graph, **roles: str) -> set[Role]:
    return {(role, _id(graph, "storage:BlobContainer", name)) for name, role in roles.items()}


def _machines(graph: Graph) -> dict[str, set[Role]]:
    """What the nodes, the account and the topic of events may do."""
    nodes = _on_containers(graph, inputs=READER, outputs=CONTRIBUTOR, runs=CONTRIBUTOR)
    if graph.has("containerregistry:Registry"):
        nodes |= {(ACR_PULL, _id(graph, "containerregistry:Registry"))}
    else:
        nodes |= _on_containers(graph, worker=READER)
    storage = _id(graph, "storage:StorageAccount")
    machines = {principal_of(graph, "pool"): nodes, principal_of(graph, "account"): {(CONTRIBUTOR, storage)}}
    for topic in graph.of("eventgrid:SystemTopic"):
        machines[topic.outputs["identity"]["principalId"]] = {(QUEUE_SENDER, _id(graph, "storage:Queue"))}
    return machines


def _submitter(graph: Graph) -> set[Role]:
    """What one who submits may do: run jobs, look at the account, use the containers, push the image, read events."""
    account = _id(graph, "batch:BatchAccount")
    containers = {(CONTRIBUTOR, one.id) for one in graph.of("storage:BlobContainer")}
    roles = {(SUBMITTER, account), (BATCH_READER, account)} | containers
    roles |= {(ACR_PUSH, one.id) for one in graph.of("containerregistry:Registry")}
    return roles | {(QUEUE_READER, _id(graph, "storage:Queue")) for _ in graph.of("eventgrid:SystemTopic")}


def roles_are_the_least_that_do(graph: Graph) -> Iterator[str]:
    given, machines = _given(graph), _machines(graph)
    for principal, roles in machines.items():
        yield from _exactly(f"the roles of {_whose(graph, principal)}", given.get(principal, set()), roles)
    people = set(given) - set(machines)
    if not people:
        yield "nobody may submit"
    for who in sorted(people):
        yield from _exactly(f"the roles of submitter {who}", given[who], _submitter(graph))


def _whose(graph: Graph, principal: str) -> str:
    words = {principal_of(graph, "pool"): "the nodes", principal_of(graph, "account"): "the account"}
    return words.get(principal, "the topic")


def _exactly(what: str, given: set[Role], expected: set[Role]) -> Iterator[str]:
    if missing := sorted(expected - given):
        yield f"{what}: missing {missing}"
    if more := sorted(given - expected):
        yield f"{what}: too many {more}"


def azure_is_told_what_machines_are(graph: Graph) -> Iterator[str]:
    """A new identity is not known everywhere at once: without its type, giving it a role fails now and then."""
    machines, assignments = _machines(graph), graph.of("authorization:RoleAssignment")
    types = {one.inputs.get("principalType") for one in assignments if one.inputs.get("principalId") in machines}
    yield from equal("what machines are", types, {"ServicePrincipal"})
    kinds = {one.inputs.get("principalType") for one in assignments if one.inputs.get("principalId") not in machines}
    yield from equal("kinds of submitters, which one setting tells", len(kinds), 1)
    definitions = {one.inputs["roleDefinitionId"].rpartition("/")[0] for one in assignments}
    subscription = "/".join(_id(graph, "resources:ResourceGroup").split("/")[:3])
    yield from equal(
        "definitions lie in", definitions, {f"{subscription}/providers/Microsoft.Authorization/roleDefinitions"}
    )


CHECKS: tuple[Check, ...] = (roles_are_the_least_that_do, azure_is_told_what_machines_are)
