"""The tree of a formula. Places do not count when trees are compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch_emulator.autoscale.problems import Place


@dataclass(frozen=True, slots=True)
class Node:
    """What all parts of a tree have: where they start."""

    place: Place = field(default=Place(), compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number as written."""

    value: float


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A text in double quotes; it cannot hold one."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable or a constant."""

    name: str


@dataclass(frozen=True, slots=True)
class Vector(Node):
    """[1, 2, 3]."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """-x or !x."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Link(Node):
    """An operator and what stands to its right; the place is the operator's."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Operators of one rank, from left to right: first + a - b. Flat, so that long sums need no deep calls."""

    first: Expression
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """condition ? yes : no."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """function(arguments)."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Member(Node):
    """object.name."""

    owner: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Method(Node):
    """object.name(arguments)."""

    owner: Expression
    name: str
    arguments: tuple[Expression, ...]


Expression = Number | Text | Name | Vector | Unary | Chain | Choice | Call | Member | Method


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """target = value; without a target the value is worked out and dropped."""

    target: str | None
    value: Expression


RANKS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/"),
)
"""Binary operators, the loosest first; all of them group from the left."""


def formula_text(statements: tuple[Statement, ...]) -> str:
    """A formula with that tree, fully parenthesised."""
    return "".join(f"{f'{one.target} = ' if one.target else ''}{expression_text(one.value)};\n" for one in statements)


def expression_text(node: Expression) -> str:
    """An expression with that tree; what has parts is put in parentheses."""
    match node:
        case Number(value):
            return repr(value)
        case Text(value):
            return f'"{value}"'
        case Name(name):
            return name
        case Vector(items):
            return f"[{_list(items)}]"
        case Call(function, arguments):
            return f"{function}({_list(arguments)})"
        case Member(owner, name):
            return f"{expression_text(owner)}.{name}"
        case Method(owner, name, arguments):
            return f"{expression_text(owner)}.{name}({_list(arguments)})"
        case _:
            return f"({_operation_text(node)})"


def _operation_text(node: Expression) -> str:
    match node:
        case Unary(operator, operand):
            return operator + expression_text(operand)
        case Chain(first, links):
            return expression_text(first) + "".join(
                f" {link.operator} {expression_text(link.operand)}" for link in links
            )
        case Choice(condition, yes, no):
            return f"{expression_text(condition)} ? {expression_text(yes)} : {expression_text(no)}"
        case _:
            return expression_text(node)


def _list(items: tuple[Expression, ...]) -> str:
    return ", ".join(expression_text(item) for item in items)
