"""User accounts of nodes: recorded with their rules; no account of this machine is made."""

from __future__ import annotations

import re

from batch_emulator import node_life
from batch_emulator.account import Account
from batch_emulator.clock import TICKS_PER_SECOND
from batch_emulator.durations import timestamp_ticks
from batch_emulator.entities import Node, NodeUser, Spec
from batch_emulator.errors import BatchError, property_error
from batch_emulator.render_pools import node_url
from batch_emulator.wire import Reply, Request, accepted

DEFAULT_LIFE = 86_400 * TICKS_PER_SECOND
MAX_NAME = 32
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def _node(account: Account, request: Request) -> Node:
    """The node, if its users can be changed now; those that have expired are gone."""
    node = account.node(request.path["poolId"], request.path["nodeId"])
    node_life.require_state(node, node_life.SCHEDULABLE)
    now = account.now()
    node.users = {name: user for name, user in node.users.items() if user.expires > now}
    return node


def _expiry(account: Account, spec: Spec) -> int:
    now = account.now()
    if "expiryTime" not in spec:
        return now + DEFAULT_LIFE
    expires = timestamp_ticks(spec["expiryTime"])
    if expires <= now:
        raise property_error("expiryTime", spec["expiryTime"], "Expected a time in the future.")
    return expires


def _existing(node: Node, request: Request) -> NodeUser:
    user = node.users.get(request.path["userName"])
    if user is None:
        raise BatchError("NodeUserNotFound")
    return user


def _changed(account: Account, node: Node, name: str) -> Reply:
    account.journal.pool(node.pool)
    return accepted(account.now(), f"{node_url(account, node)}/users/{name}")


def create(account: Account, request: Request) -> Reply:
    """Record a new user."""
    spec = request.spec("BatchNodeUserCreateOptions")
    node = _node(account, request)
    name = spec["name"]
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise property_error("name", name, f"Expected 1 to {MAX_NAME} letters, digits or _ . - after a letter or _.")
    if name in node.users:
        raise BatchError("NodeUserExists")
    node.users[name] = NodeUser(name, spec.get("isAdmin", False), _expiry(account, spec))
    return _changed(account, node, name)


def replace(account: Account, request: Request) -> Reply:
    """Replace what can change of a user; without expiryTime it lives for a day from now."""
    spec = request.spec("BatchNodeUserReplaceOptions")
    node = _node(account, request)
    user = _existing(node, request)
    node.users[user.name] = NodeUser(user.name, user.is_admin, _expiry(account, spec))
    return _changed(account, node, user.name)


def delete(account: Account, request: Request) -> Reply:
    """Forget a user."""
    node = _node(account, request)
    user = _existing(node, request)
    del node.users[user.name]
    return _changed(account, node, user.name)
