"""The names of the language, and what is wrong with a formula before it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batch_emulator.autoscale import functions
from batch_emulator.autoscale.methods import METHODS
from batch_emulator.autoscale.problems import SYNTAX, FormulaError
from batch_emulator.autoscale.samples import METRICS, UNMEASURED
from batch_emulator.autoscale.syntax import (
    Call,
    Chain,
    Choice,
    Expression,
    Member,
    Method,
    Statement,
    Unary,
    Vector,
)
from batch_emulator.autoscale.values import TICKS_PER_DAY, Span
from batch_emulator.clock import TICKS_PER_SECOND

DEDICATED = "$TargetDedicatedNodes"
LOW_PRIORITY = "$TargetLowPriorityNodes"
DEALLOCATION = "$NodeDeallocationOption"
SLOTS = "$TaskSlotsPerNode"
ALIASED_TARGETS: Mapping[str, str] = {"$TargetDedicated": DEDICATED, "$TargetLowPriority": LOW_PRIORITY}
OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")

INTERVALS: Mapping[str, Span] = {
    f"TimeInterval_{name}": Span(float(ticks))
    for name, ticks in (
        ("Zero", 0),
        ("100ns", 1),
        ("Microsecond", 10),
        ("Millisecond", 10_000),
        ("Second", TICKS_PER_SECOND),
        ("Minute", 60 * TICKS_PER_SECOND),
        ("Hour", 3600 * TICKS_PER_SECOND),
        ("Day", TICKS_PER_DAY),
        ("Week", 7 * TICKS_PER_DAY),
        ("Year", 365 * TICKS_PER_DAY),
    )
}

_READ_ONLY = frozenset((*METRICS, *UNMEASURED, SLOTS, *INTERVALS, *OPTIONS))


def check(statements: tuple[Statement, ...]) -> None:
    """Refuse functions and methods that do not exist, and assignments to what is read-only."""
    for statement in statements:
        if statement.target in _READ_ONLY:
            raise FormulaError(SYNTAX, statement.place, f"{statement.target!r} is read-only")
        _check(statement.value)


def _check(node: Expression) -> None:
    if isinstance(node, Call) and node.function not in functions.FUNCTIONS and node.function != functions.STOP:
        raise FormulaError(SYNTAX, node.place, f"There is no function {node.function!r}")
    if isinstance(node, Method) and node.name not in METHODS:
        raise FormulaError(SYNTAX, node.place, f"There is no method {node.name!r}")
    for part in _parts(node):
        _check(part)


def _parts(node: Expression) -> Iterator[Expression]:
    match node:
        case Vector(items) | Call(_, items):
            yield from items
        case Unary(_, operand) | Member(operand, _):
            yield operand
        case Chain(first, links):
            yield first
            yield from (link.operand for link in links)
        case Choice(condition, yes, no):
            yield from (condition, yes, no)
        case Method(owner, _, items):
            yield from (owner, *items)
