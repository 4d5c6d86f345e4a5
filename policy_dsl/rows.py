"""What an expression reads, and the same expression over other signals: of a named request, of a paused session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from policy_dsl import ir
from policy_dsl.catalogue import signal_of


def of_row(node: ir.Node, row: str, make: Callable[..., ir.Node]) -> ir.Node:
    """*node* with every row signal `S` read as `row/S`; *make* is `Elaborator.make`."""

    def named(n: ir.Node) -> ir.Node | None:
        if isinstance(n, ir.Read) and signal_of(n.key).per_row:
            return make(ir.Read, n.type, n.span, f"{row}/{n.key}")
        return None

    return changed(node, named, make)


def changed(node: ir.Node, instead: Callable[[ir.Node], ir.Node | None], make: Callable[..., ir.Node]) -> ir.Node:
    """*node* with each part for which *instead* has an answer put in its place."""
    done: dict[ir.Node, ir.Node] = {}

    def again(n: ir.Node) -> ir.Node:
        if n not in done:
            done[n] = instead(n) or copy(n)
        return done[n]

    def copy(n: ir.Node) -> ir.Node:
        match n:
            case ir.Unary():
                return make(ir.Unary, n.type, n.span, n.op, again(n.operand))
            case ir.Binary():
                return make(ir.Binary, n.type, n.span, n.op, again(n.left), again(n.right))
            case ir.Call():
                return make(ir.Call, n.type, n.span, n.name, tuple(again(a) for a in n.args))
            case ir.If():
                return make(ir.If, n.type, n.span, again(n.test), again(n.then), again(n.other))
            case ir.TextIs():
                return make(ir.TextIs, n.type, n.span, again(n.subject), n.patterns)
            case ir.Least():
                arms = (ir.LeastArm(a.handling, again(a.cost), a.allowed and again(a.allowed)) for a in n.arms)
                return make(ir.Least, n.type, n.span, tuple(arms))
            case _:
                return n

    return again(node)


def parts(node: ir.Node) -> Iterator[ir.Node]:
    """*node* and every node below it, once."""
    seen: set[ir.Node] = set()
    waiting = [node]
    while waiting:
        n = waiting.pop()
        if n not in seen:
            seen.add(n)
            waiting.extend(ir.children(n))
            yield n


def reads(node: ir.Node) -> Iterator[ir.Read]:
    """Every signal that *node* reads, once."""
    return (n for n in parts(node) if isinstance(n, ir.Read))
