"""Operations on nodes."""

from __future__ import annotations

from collections.abc import Callable

from batch_emulator import node_life
from batch_emulator.account import Account
from batch_emulator.entities import Node
from batch_emulator.filters import Property
from batch_emulator.paging import collect, list_reply, numbered, selection
from batch_emulator.render_pools import node_fields, node_url
from batch_emulator.wire import Reply, Request, accepted, element

Operation = Callable[[Account, Request], Reply]

PROPERTIES: dict[str, Property[Node]] = {
    "id": lambda node: node.id,
    "state": lambda node: node.state,
    "schedulingState": lambda node: node.scheduling,
    "stateTransitionTime": lambda node: node.state_since,
    "lastBootTime": lambda node: node.booted,
    "allocationTime": lambda node: node.allocated,
    "affinityId": lambda node: f"TVM:{node.id}",
    "ipAddress": lambda node: node.ip,
    "isDedicated": lambda node: node.dedicated,
    "vmSize": lambda node: node.pool.vm_size,
    "totalTasksRun": lambda node: node.total_run,
    "totalTasksSucceeded": lambda node: node.total_succeeded,
    "runningTasksCount": lambda node: len(node.running),
}


def list_nodes(account: Account, request: Request) -> Reply:
    """The nodes of a pool."""
    wanted = selection(request, "BatchNode")
    nodes = numbered(list(account.pool(request.path["poolId"]).nodes.values()), request)
    page = collect(request, nodes, PROPERTIES, lambda node: node_fields(account, node, wanted))
    return list_reply(account, request, "nodes", page)


def _node(account: Account, request: Request) -> Node:
    return account.node(request.path["poolId"], request.path["nodeId"])


def get(account: Account, request: Request) -> Reply:
    """One node."""
    fields = node_fields(account, _node(account, request), selection(request, "BatchNode"))
    return element(account.url, "nodes", fields)


def _accepted(account: Account, node: Node) -> Reply:
    return accepted(account.now(), node_url(account, node))


def _command(model: str, field: str, begin: Callable[[Account, Node, str], None]) -> Operation:
    """A command of a node with an option that says what becomes of its tasks."""

    def command(account: Account, request: Request) -> Reply:
        spec = request.spec(model)
        node = _node(account, request)
        begin(account, node, spec.get(field, "requeue"))
        return _accepted(account, node)

    return command


reboot = _command("BatchNodeRebootOptions", "nodeRebootOption", node_life.reboot)
"""Restart a node."""
reimage = _command("BatchNodeReimageOptions", "nodeReimageOption", node_life.reimage)
"""Restart a node without its files."""
deallocate = _command("BatchNodeDeallocateOptions", "nodeDeallocateOption", node_life.deallocate)
"""Give a node's machine back until it is started again."""
disable_scheduling = _command(
    "BatchNodeDisableSchedulingOptions", "nodeDisableSchedulingOption", node_life.disable_scheduling
)
"""Give a node no more tasks."""


def start(account: Account, request: Request) -> Reply:
    """Start a node that was deallocated."""
    node = _node(account, request)
    node_life.start(account, node)
    return _accepted(account, node)


def enable_scheduling(account: Account, request: Request) -> Reply:
    """Let a node take tasks again."""
    node = _node(account, request)
    node_life.enable_scheduling(account, node)
    return _accepted(account, node)
