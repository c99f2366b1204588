"""Tree and samples to node counts: the formula's statements, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatchmethod

from batch_emulator.autoscale import functions, syntax
from batch_emulator.autoscale.checks import (
    ALIASED_TARGETS,
    DEALLOCATION,
    DEDICATED,
    INTERVALS,
    LOW_PRIORITY,
    OPTIONS,
    SLOTS,
    check,
)
from batch_emulator.autoscale.methods import METHODS, Reading, latest
from batch_emulator.autoscale.parser import parse
from batch_emulator.autoscale.problems import EVALUATION, INSUFFICIENT, FormulaError, Place
from batch_emulator.autoscale.samples import METRIC_NAMES, History
from batch_emulator.autoscale.values import (
    Metric,
    Moment,
    OperationError,
    Value,
    binary,
    kind,
    moment_part,
    truth,
    unary,
    value_text,
)

_ALIASES = {full: alias for alias, full in ALIASED_TARGETS.items()}
_SERVICE = frozenset((DEDICATED, LOW_PRIORITY, DEALLOCATION, *ALIASED_TARGETS))


@dataclass(frozen=True, slots=True)
class Targets:
    """What a formula decides."""

    dedicated: int
    low_priority: int
    option: str = "requeue"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a formula can see of its pool; `now` in ticks, `random` from 0 to 1."""

    now: int
    targets: Targets
    history: History
    slots_per_node: int
    random: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`results` as the service writes them. With an error the targets are those that the pool has."""

    targets: Targets
    results: str
    error: FormulaError | None = None


class _Stopped(Exception):  # noqa: N818 - stop() is no error
    pass


def read(formula: str) -> tuple[syntax.Statement, ...]:
    """The checked tree of a formula; FormulaError (syntax, too long) when the service would refuse it."""
    statements = parse(formula)
    check(statements)
    return statements


def evaluate(statements: tuple[syntax.Statement, ...], around: Surroundings) -> Outcome:
    """Work out a formula that `read` has given; what goes wrong is in the outcome."""
    evaluation = _Evaluation(around)
    try:
        evaluation.run(statements)
        targets = evaluation.targets()
    except FormulaError as error:
        return Outcome(around.targets, _results(around.targets, evaluation.variables), error)
    return Outcome(targets, _results(targets, evaluation.variables))


def _results(targets: Targets, variables: Mapping[str, Value]) -> str:
    service = {DEDICATED: targets.dedicated, LOW_PRIORITY: targets.low_priority, DEALLOCATION: targets.option}
    parts = [f"{name}={value}" for name, value in service.items()]
    parts += [f"{name}={value_text(value)}" for name, value in variables.items() if name not in _SERVICE]
    return ";".join(parts)


def _wrong(place: Place, reason: str) -> FormulaError:
    return FormulaError(EVALUATION, place, reason)


def _work(place: Place, work: Callable[[], Value]) -> Value:
    try:
        return work()
    except OperationError as error:
        raise _wrong(place, str(error)) from error
    except OverflowError as error:
        raise _wrong(place, "The number is too large") from error


class _Evaluation:
    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._context = functions.Context(around.now, around.random)
        self._places: dict[str, Place] = {}
        self._known: dict[str, Value] = {
            **INTERVALS,
            **{option: option for option in OPTIONS},
            **{name: Metric(full) for name, full in METRIC_NAMES.items()},
            DEDICATED: float(around.targets.dedicated),
            LOW_PRIORITY: float(around.targets.low_priority),
            DEALLOCATION: around.targets.option,
            SLOTS: float(around.slots_per_node),
        }
        self.variables: dict[str, Value] = {}

    def run(self, statements: tuple[syntax.Statement, ...]) -> None:
        """Work out all statements, or those before stop()."""
        try:
            for statement in statements:
                value = self._value(statement.value)
                if statement.target is not None:
                    self.variables[statement.target] = value
                    self._places[statement.target] = statement.value.place
        except _Stopped:
            return

    def targets(self) -> Targets:
        """What the variables of the service stand at."""
        now = self._around.targets
        option = self.variables.get(DEALLOCATION, now.option)
        if not isinstance(option, str) or option not in OPTIONS:
            raise _wrong(self._places[DEALLOCATION], f"{DEALLOCATION} must be one of {', '.join(OPTIONS)}")
        return Targets(self._target(DEDICATED, now.dedicated), self._target(LOW_PRIORITY, now.low_priority), option)

    def _target(self, full: str, current: int) -> int:
        """The full name counts before its alias; what is behind the decimal point is cut off."""
        name = full if full in self.variables else _ALIASES[full]
        if name not in self.variables:
            return current
        place = self._places[name]
        value = self._number(self.variables[name], place)
        if not isinstance(value, float) or not math.isfinite(value) or not 0 <= value < 2**31:
            raise _wrong(place, f"{name} must be a number of nodes, found {value_text(value)}")
        return int(value)

    def _number(self, value: Value, place: Place) -> Value:
        """A metric that is used as a number is its latest sample."""
        if not isinstance(value, Metric):
            return value
        found = latest(self._around.history, value)
        if found is None:
            raise FormulaError(INSUFFICIENT, place, f"Insufficient data from data set: {value.name} has no sample")
        return found

    def _operand(self, node: syntax.Expression) -> Value:
        return self._number(self._value(node), node.place)

    def _condition(self, node: syntax.Expression) -> bool:
        value = self._operand(node)
        if not isinstance(value, float):
            raise _wrong(node.place, f"Expected a condition, found {kind(value)}")
        return value != 0

    @singledispatchmethod
    def _value(self, node: syntax.Expression) -> Value:
        raise TypeError(f"no expression: {node!r}")

    @_value.register
    def _(self, node: syntax.Number) -> Value:
        return node.value

    @_value.register
    def _(self, node: syntax.Text) -> Value:
        return node.value

    @_value.register
    def _(self, node: syntax.Name) -> Value:
        full = ALIASED_TARGETS.get(node.name, node.name)
        for name in (node.name, full):
            if name in self.variables:
                return self.variables[name]
        if full not in self._known:
            raise _wrong(node.place, f"The variable {node.name!r} is not defined")
        return self._known[full]

    @_value.register
    def _(self, node: syntax.Vector) -> Value:
        items = [self._operand(item) for item in node.items]
        return _work(node.place, lambda: functions.flatten(items))

    @_value.register
    def _(self, node: syntax.Unary) -> Value:
        operand = self._operand(node.operand)
        return _work(node.place, lambda: unary(node.operator, operand))

    @_value.register
    def _(self, node: syntax.Chain) -> Value:
        if node.links[0].operator in ("&&", "||"):
            return self._logic(node)
        value = self._operand(node.first)
        for link in node.links:
            value = self._link(link, value)
        return value

    def _link(self, link: syntax.Link, left: Value) -> Value:
        right = self._operand(link.operand)
        return _work(link.place, lambda: binary(link.operator, left, right))

    def _logic(self, node: syntax.Chain) -> Value:
        """What stands to the right is looked at only if the left does not decide."""
        decides = node.links[0].operator == "||"
        operands = (node.first, *(link.operand for link in node.links))
        decided = any(self._condition(one) == decides for one in operands)
        return truth(holds=decided == decides)

    @_value.register
    def _(self, node: syntax.Choice) -> Value:
        return self._value(node.yes if self._condition(node.condition) else node.no)

    @_value.register
    def _(self, node: syntax.Call) -> Value:
        if node.function == functions.STOP:
            raise _Stopped
        function = functions.FUNCTIONS[node.function]
        arguments = [self._operand(argument) for argument in node.arguments]
        return _work(node.place, lambda: function(self._context, arguments))

    @_value.register
    def _(self, node: syntax.Member) -> Value:
        owner = self._value(node.owner)
        found = moment_part(owner, node.name) if isinstance(owner, Moment) else None
        if found is None:
            raise _wrong(node.place, f"{kind(owner)} has no member {node.name!r}")
        return found

    @_value.register
    def _(self, node: syntax.Method) -> Value:
        owner = self._value(node.owner)
        if not isinstance(owner, Metric):
            raise _wrong(node.place, f"{kind(owner)} has no method {node.name!r}")
        arguments = [self._operand(argument) for argument in node.arguments]
        reading = Reading(self._around.history, self._around.now, owner, node.place)
        return _work(node.place, lambda: METHODS[node.name](reading, arguments))
