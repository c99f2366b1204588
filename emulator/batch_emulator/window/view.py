"""What the window shows, as HTML made here: every text of a client is escaped."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from html import escape
from itertools import islice

from batch_emulator.account import Account
from batch_emulator.durations import timestamp
from batch_emulator.entities import Job, Node, Pool, Task

MOST = 100
"""Rows of each kind; the rest is counted."""

_GOOD = {"idle", "active", "completed", "steady", "success"}
_WORK = {"running", "starting", "creating", "preparing", "resizing", "rebooting", "reimaging", "enabling"}
_BAD = {"unusable", "unknown", "starttaskfailed", "preempted", "failure"}


def _state(state: str) -> str:
    kind = "good" if state in _GOOD else "work" if state in _WORK else "bad" if state in _BAD else "wait"
    return f'<span class="state {kind}">{escape(state)}</span>'


def _table(names: str, rows: Iterable[Iterable[str]], nothing: str) -> str:
    body = "".join("<tr>" + "".join(cells) + "</tr>" for cells in rows)
    if not body:
        return f'<p class="none">{nothing}</p>'
    heads = "".join(
        f'<th class="number">{name[1:]}</th>' if name.startswith("#") else f"<th>{name}</th>"
        for name in names.split(",")
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: str) -> str:
    return f"<td>{value}</td>"


def _id(value: str) -> str:
    return f"<td><code>{escape(value)}</code></td>"


def _number(value: float) -> str:
    return f'<td class="number">{value:,}</td>'


def _rest(total: int) -> str:
    return f'<p class="none">… and {total - MOST:,} more</p>' if total > MOST else ""


def _pool_row(pool: Pool) -> list[str]:
    nodes = pool.nodes.values()
    dedicated = sum(node.dedicated for node in nodes)
    slots = len(nodes) * pool.slots_per_node
    return [
        _id(pool.id),
        _text(_state(pool.state if pool.allocation == "steady" else pool.allocation)),
        _id(pool.vm_size),
        _number(dedicated),
        _number(pool.target_dedicated),
        _number(len(nodes) - dedicated),
        _number(pool.target_low_priority),
        _number(sum(len(node.running) for node in nodes)),
        _number(slots),
    ]


def _pools(account: Account) -> str:
    rows = [_pool_row(pool) for pool in islice(account.pools.values(), MOST)]
    names = "Pool,State,Size,#Dedicated,#wanted,#Spot,#wanted,#Tasks,#Slots"
    return "<h2>Pools</h2>" + _table(names, rows, "No pools yet.") + _rest(len(account.pools))


def _node_box(node: Node) -> str:
    tasks = sorted(f"{task.job.id}/{task.id}" for task in islice(node.running, 4))
    kind = "dedicated" if node.dedicated else "Spot"
    lines = "".join(f"<code>{escape(name)}</code>" for name in tasks)
    off = "" if node.scheduling == "enabled" else ", takes no tasks"
    return (
        f'<div class="node" title="{escape(node.id)}"><p>{_state(node.state)}{off}</p>'
        f"<p>{escape(node.pool.id)}, {kind}, {node.ip}</p>{lines}</div>"
    )


def _nodes(account: Account) -> str:
    total = sum(len(pool.nodes) for pool in account.pools.values())
    every = (node for pool in account.pools.values() for node in pool.nodes.values())
    boxes = "".join(_node_box(node) for node in islice(every, MOST))
    shown = f'<div class="nodes">{boxes}</div>' if boxes else '<p class="none">No nodes yet.</p>'
    return "<h2>Nodes</h2>" + shown + _rest(total)


def _job_row(job: Job) -> list[str]:
    counts = job.counts
    done = counts.succeeded + counts.failed
    total = done + counts.active + counts.running
    bar = f'<progress max="{max(total, 1)}" value="{done}">{done} of {total}</progress>'
    return [
        _id(job.id),
        _text(_state(job.state)),
        _id(job.pool_id),
        _text(bar),
        _number(counts.active),
        _number(counts.running),
        _number(counts.succeeded),
        _number(counts.failed),
    ]


def _jobs(account: Account) -> str:
    newest = islice(reversed(account.jobs.values()), MOST)
    names = "Job,State,Pool,Done,#Waiting,#Running,#Succeeded,#Failed"
    return "<h2>Jobs</h2>" + _table(names, map(_job_row, newest), "No jobs yet.") + _rest(len(account.jobs))


def _task_row(task: Task) -> list[str]:
    outcome = task.state if task.result is None or task.state != "completed" else task.result
    code = "" if task.exit_code is None else str(task.exit_code)
    moment = timestamp(task.state_since)[11:19]
    return [_id(task.job.id), _id(task.id), _text(_state(outcome)), _text(code), _text(f"{moment} UTC")]


def _tasks(account: Account) -> str:
    running = list(islice(account.runs, MOST))
    recent = {task for pool in account.pools.values() for node in pool.nodes.values() for task in node.recent}
    ended = [task for task in recent if task.state == "completed" and not task.deleted]
    latest = heapq.nlargest(20, ended, key=lambda task: task.state_since)
    rows = [_task_row(task) for task in running + latest]
    names = "Job,Task,State,Exit code,Since"
    head = "<h2>Tasks that run, and the last that ended</h2>"
    return head + _table(names, rows, "No task has run yet.") + _rest(len(account.runs))


def _summary(account: Account) -> str:
    waiting = sum(job.counts.active for job in account.jobs.values())
    nodes = Counter(node.state for pool in account.pools.values() for node in pool.nodes.values())
    return (
        f"{account.url} · account {account.settings.account_name} · {len(account.runs):,} tasks running, "
        f"{waiting:,} waiting · {nodes.total():,} nodes"
    )


def fragment(account: Account) -> str:
    """The state of the account; its cost depends on the number of pools, nodes and jobs, not on that of tasks."""
    parts = _pools(account) + _nodes(account) + _jobs(account) + _tasks(account)
    return f'<section data-summary="{escape(_summary(account))}">{parts}</section>'
