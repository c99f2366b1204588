"""Operations on nodes."""

from __future__ import annotations

from batch_emulator import node_life
from batch_emulator.account import Account
from batch_emulator.entities import Node
from batch_emulator.filters import Property
from batch_emulator.paging import collect, list_reply, numbered, selection
from batch_emulator.render import node_fields, node_url
from batch_emulator.wire import Reply, Request, accepted, element

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


def reboot(account: Account, request: Request) -> Reply:
    """Restart a node."""
    spec = request.spec("BatchNodeRebootOptions")
    node = _node(account, request)
    node_life.reboot(account, node, spec.get("nodeRebootOption", "requeue"))
    return _accepted(account, node)


def reimage(account: Account, request: Request) -> Reply:
    """Restart a node without its files."""
    spec = request.spec("BatchNodeReimageOptions")
    node = _node(account, request)
    node_life.reimage(account, node, spec.get("nodeReimageOption", "requeue"))
    return _accepted(account, node)


def deallocate(account: Account, request: Request) -> Reply:
    """Give a node's machine back until it is started again."""
    spec = request.spec("BatchNodeDeallocateOptions")
    node = _node(account, request)
    node_life.deallocate(account, node, spec.get("nodeDeallocateOption", "requeue"))
    return _accepted(account, node)


def start(account: Account, request: Request) -> Reply:
    """Start a node that was deallocated."""
    node = _node(account, request)
    node_life.start(account, node)
    return _accepted(account, node)


def disable_scheduling(account: Account, request: Request) -> Reply:
    """Give a node no more tasks."""
    spec = request.spec("BatchNodeDisableSchedulingOptions")
    node = _node(account, request)
    node_life.disable_scheduling(account, node, spec.get("nodeDisableSchedulingOption", "requeue"))
    return _accepted(account, node)


def enable_scheduling(account: Account, request: Request) -> Reply:
    """Let a node take tasks again."""
    node = _node(account, request)
    node_life.enable_scheduling(account, node)
    return _accepted(account, node)
