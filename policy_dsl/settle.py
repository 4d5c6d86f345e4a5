"""The expressions of a policy made ready to compile: parameters written in, `highest` keys negated.

Rules that are asked before a call, all but `on call` (which `again` asks too) and those of paused sessions, see
predictions of which nothing has run yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.codegen.lower import rebuild, with_params
from policy_dsl.limits import limit_of
from policy_dsl.types import BOOL, INSTANT, Kind, quantity
from policy_dsl.units import SECOND

Nodes = tuple[ir.Node, ...]


@dataclass(frozen=True, slots=True)
class SettledLimit:
    """*bound* in the unit of the limit, never a share."""

    name: str
    bound: ir.Node
    by: Nodes


@dataclass(frozen=True, slots=True)
class Every:
    """How often `while paused` asks: at least so much after the last asking. One of the two is 0."""

    seconds: float
    steps: float


@dataclass(frozen=True, slots=True)
class Rules:
    """One policy with its parameters. Orders that it doesn't state are empty, conditions and `paused` None."""

    rank: Nodes
    promote: ir.Node | None
    by: Nodes
    handling: ir.Node
    on_call: ir.Decision
    paused: ir.Decision | None
    every: Every | None
    yields: Nodes
    victim: Nodes
    admit: ir.Node | None
    classes: tuple[tuple[str, ir.Node | None], ...]
    limits: tuple[SettledLimit, ...]


def settle(policy: ir.Policy, params: Mapping[str, float]) -> Rules:
    builder = ir.Builder()

    def one(node: ir.Node) -> ir.Node:
        return with_params((node,), params, builder)[0]

    def before(node: ir.Node) -> ir.Node:
        return rebuild((one(node),), builder, lambda n: _exceeded(n, builder))[0]

    def keys(given: tuple[ir.Key, ...], read: Callable[[ir.Node], ir.Node]) -> Nodes:
        return tuple(_key(read(k.expr), k.highest, builder) for k in given)

    def bound(limit: ir.Limit) -> SettledLimit:
        made = one(limit.bound)
        if limit.share:
            info = limit_of(limit.name)
            total = builder.read(info.total, quantity(info.unit), limit.span)
            made = builder.node(ir.Binary, quantity(info.unit), limit.span, "*", made, total)
        return SettledLimit(limit.name, made, keys(limit.by, one))

    promote, paused = policy.promote, policy.paused
    arrival = builder.read("request.arrival", INSTANT, policy.handling.span)
    return Rules(
        rank=keys(policy.rank, before) or (arrival,),
        promote=None if promote is None else before(promote.when),
        by=() if promote is None else keys(promote.by, before),
        handling=before(policy.handling),
        on_call=ir.mapped(policy.on_call, one),
        paused=None if paused is None else ir.mapped(paused.decision, one),
        every=None if paused is None else _every(one(paused.every)),
        yields=keys(policy.yields, one),
        victim=keys(policy.victim, before),
        admit=None if policy.admit is None else _or_faulty(before(policy.admit), builder),
        classes=tuple((c.name, None if c.when is None else one(c.when)) for c in policy.classes),
        limits=tuple(map(bound, policy.limits)),
    )


def _exceeded(node: ir.Node, builder: ir.Builder) -> ir.Node | None:
    """0 for what a prediction is known to exceed: read of a row whose call does not run yet."""
    if isinstance(node, ir.Read) and node.key.endswith(".after"):
        return builder.node(ir.Const, node.type, node.span, 0.0)
    return None


def _key(expr: ir.Node, highest: bool, builder: ir.Builder) -> ir.Node:
    if not highest:
        return expr
    return builder.node(ir.Unary, expr.type, expr.span, "not" if expr.type.kind is Kind.BOOL else "-", expr)


def _every(node: ir.Node) -> Every:
    assert isinstance(node, ir.Const), node  # params are constants by now, and it reads no signal
    value = max(float(node.value), 0.0)
    return Every(value, 0.0) if node.type == quantity(SECOND) else Every(0.0, value)


def _or_faulty(when: ir.Node, builder: ir.Builder) -> ir.Node:
    """*when*, or true where a comparison it is made of has a side that is not a number: a fault lets the row in."""
    made = when
    for side in _compared(when):
        fault = builder.node(ir.Binary, BOOL, side.span, "!=", side, side)
        made = builder.node(ir.Binary, BOOL, when.span, "or", made, fault)
    return made


def _compared(node: ir.Node) -> Iterator[ir.Node]:
    """The sides of the comparisons below `and`, `or` and `not`."""
    match node:
        case ir.Unary(op="not", operand=operand):
            yield from _compared(operand)
        case ir.Binary(op="and" | "or", left=left, right=right):
            yield from _compared(left)
            yield from _compared(right)
        case ir.Binary(left=left, right=right) if left.type.kind in (Kind.QUANTITY, Kind.INSTANT):
            yield from (side for side in (left, right) if not isinstance(side, ir.Const))
