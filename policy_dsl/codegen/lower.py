"""What both code generators need of an expression graph: order, inputs, substitution, folding.

Graphs share nodes and can be deep, so everything here walks with a stack of its own and visits
each node once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import catalogue
from policy_dsl.interpret import evaluate
from policy_dsl.ir import Binary, Builder, Call, Const, If, Least, LeastArm, Node, Param, Read, TextIs, Unary, children


@dataclass(frozen=True, slots=True, eq=False)
class Hoisted(Node):
    """A column computed beforehand, once for each time its row is written."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Chosen(Node):
    """The value of the arm that *choice* takes; the last of *arms* where it can take none."""

    choice: Least
    arms: tuple[Node, ...]


def postorder(roots: Iterable[Node]) -> list[Node]:
    """Every node reached from *roots*, once, operands before what uses them."""
    seen: set[int] = set()
    order: list[Node] = []
    stack = [(root, False) for root in reversed(tuple(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(children(node)) if id(child) not in seen)
    return order


def keys_read(roots: Iterable[Node]) -> frozenset[str]:
    """The signal keys that *roots* depend on."""
    return frozenset(n.key for n in postorder(roots) if isinstance(n, Read))


@dataclass(frozen=True, slots=True)
class Reach:
    """What a value depends on: how fast it changes, and whether each row has its own."""

    changes: catalogue.Changes
    per_row: bool


def reaches(roots: Iterable[Node]) -> dict[int, Reach]:
    """The `Reach` of every node below *roots*, by id (which holds as long as the nodes live)."""
    found: dict[int, Reach] = {}
    for node in postorder(roots):
        match node:
            case Read(key=key):
                signal = catalogue.signal_of(key)
                found[id(node)] = Reach(signal.changes, signal.per_row)
            case Hoisted():
                found[id(node)] = Reach(catalogue.Changes.REQUEST, True)
            case Param():
                found[id(node)] = Reach(catalogue.Changes.EPOCH, False)
            case _:
                below = [found[id(c)] for c in children(node)]
                found[id(node)] = Reach(
                    max((r.changes for r in below), default=catalogue.Changes.NEVER), any(r.per_row for r in below)
                )
    return found


def with_operands(node: Node, new: Sequence[Node], builder: Builder) -> Node:
    """*node* over other operands (in the order of `ir.children`); itself where they are the same."""
    if all(a is b for a, b in zip(children(node), new, strict=True)):
        return node
    match node:
        case Unary(op=op):
            return builder.node(Unary, node.type, node.span, op, *new)
        case Binary(op=op):
            return builder.node(Binary, node.type, node.span, op, *new)
        case Call(name=name):
            return builder.node(Call, node.type, node.span, name, tuple(new))
        case If():
            return builder.node(If, node.type, node.span, *new)
        case TextIs(patterns=patterns):
            return builder.node(TextIs, node.type, node.span, *new, patterns)
        case Least(arms=arms):
            rest = iter(new)
            made = tuple(LeastArm(a.handling, next(rest), next(rest) if a.allowed is not None else None) for a in arms)
            return builder.least(made, node.span)
    raise TypeError(f"{type(node).__name__} has no operands")


def rebuild(roots: Sequence[Node], builder: Builder, replaced: Callable[[Node], Node | None]) -> tuple[Node, ...]:
    """*roots* with every node for which *replaced* has an answer put in its place, then folded."""
    made: dict[int, Node] = {}
    for node in postorder(roots):
        new = replaced(node)
        if new is None:
            new = fold(with_operands(node, [made[id(c)] for c in children(node)], builder), builder)
        made[id(node)] = new
    return tuple(made[id(r)] for r in roots)


def fold(node: Node, builder: Builder) -> Node:
    """A constant where the operands are constants; the arm taken where a test is one."""
    match node:
        case If(test=Const(value=value), then=then, other=other):
            return then if value else other
        case Unary() | Binary() | Call() | TextIs() if all(isinstance(c, Const) for c in children(node)):
            return builder.node(Const, node.type, node.span, evaluate(node, {}, {}, {}))
        case _:
            return node


def with_params(roots: Sequence[Node], params: Mapping[str, float], builder: Builder) -> tuple[Node, ...]:
    """*roots* with the values of parameters written in."""

    def value(node: Node) -> Node | None:
        return builder.node(Const, node.type, node.span, params[node.name]) if isinstance(node, Param) else None

    return rebuild(roots, builder, value)
