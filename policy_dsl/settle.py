"""The expressions of a policy made ready to compile: parameters written in, `highest` keys negated.

Rules that are asked before a call, all but `on call` (which `again` asks too) and those of paused sessions, see
predictions of which nothing has run yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.codegen.lower import postorder, rebuild, with_params
from policy_dsl.limits import limit_of, of_waiting
from policy_dsl.types import BOOL, INSTANT, Kind, quantity
from policy_dsl.units import SECOND

Nodes = tuple[ir.Node, ...]
_COMPARED = (Kind.QUANTITY, Kind.INSTANT)


@dataclass(frozen=True, slots=True)
class SettledLimit:
    """*bound* in the unit of the limit, never a share. *by*: of waiting requests or of paused sessions."""

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
        return SettledLimit(limit.name, made, keys(limit.by, before if of_waiting(limit.name) else one))

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
        admit=None if policy.admit is None else before(_or_faulty(policy.admit, builder)),
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
    """*when*, or true where a comparison that decides it has a side that is not a number: a fault lets the row in.

    Asked of the policy as written: what a parameter's value folds away must not change the answer.
    """
    fault: dict[int, ir.Node | None] = {}
    for node in postorder((when,)):
        fault[id(node)] = _fault(node, fault, builder)
    return _either(when, fault[id(when)], builder) or when


def _fault(node: ir.Node, below: Mapping[int, ir.Node | None], builder: ir.Builder) -> ir.Node | None:
    """Whether *node*, a condition, is decided by what is not a number; None: never. *below*: the same of its parts."""
    match node:
        case ir.Unary(op="not", operand=operand):
            return below[id(operand)]
        case ir.If(test=test, then=then, other=other):
            no = builder.node(ir.Const, BOOL, node.span, False)
            arms = [below[id(arm)] or no for arm in (then, other)]
            taken = None if arms == [no, no] else builder.node(ir.If, BOOL, node.span, test, *arms)
            return _either(below[id(test)], taken, builder)
        case ir.Binary(left=left, right=right) if left.type == BOOL:
            return _either(below[id(left)], below[id(right)], builder)
        case ir.Binary(left=left, right=right, type=type_) if type_ == BOOL and left.type.kind in _COMPARED:
            return _either(_not_a_number(left, builder), _not_a_number(right, builder), builder)
        case _:
            return None


def _not_a_number(node: ir.Node, builder: ir.Builder) -> ir.Node | None:
    match node:
        case ir.Const(value=float() as value) if math.isnan(value):
            return builder.node(ir.Const, BOOL, node.span, True)
        case ir.Const() | ir.Param():
            return None
    return builder.node(ir.Binary, BOOL, node.span, "!=", node, node)


def _either(one: ir.Node | None, other: ir.Node | None, builder: ir.Builder) -> ir.Node | None:
    if one is None or other is None:
        return one or other
    return builder.node(ir.Binary, BOOL, one.span, "or", one, other)
