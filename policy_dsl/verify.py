"""Checks that a graph is well typed: a second opinion on the checker and on every pass, used by tests."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from policy_dsl import catalogue
from policy_dsl.codegen.lower import postorder
from policy_dsl.ir import (
    Act,
    Binary,
    Call,
    Choose,
    Const,
    Decision,
    If,
    Least,
    Node,
    Param,
    Pick,
    Policy,
    Read,
    TextIs,
    Unary,
)
from policy_dsl.types import BOOL, HANDLING, INSTANT, TEXT, Kind, Type, quantity
from policy_dsl.units import NUMBER, SECOND

_HALF = Fraction(1, 2)


class IllTyped(TypeError):
    """A node whose type isn't what its operands make."""


def verify(policy: Policy) -> None:
    """Raises `IllTyped` at the first node of *policy* that is wrong."""
    by = (key for limit in policy.limits for key in limit.by)
    keys = [*policy.rank, *(policy.promote.by if policy.promote else ()), *policy.yields, *policy.victim, *by]
    _expect_all((k.expr for k in keys), (Kind.QUANTITY, Kind.INSTANT, Kind.BOOL), "a key")
    if policy.promote is not None:
        _expect(policy.promote.when, BOOL)
    _expect(policy.handling, HANDLING)
    for limit in policy.limits:
        _expect_all((limit.bound,), (Kind.QUANTITY,), "a limit")
    _decision(policy.on_call)
    if policy.paused is not None:
        _expect_all((policy.paused.every,), (Kind.QUANTITY,), "an interval")
        _decision(policy.paused.decision)
    for when in (policy.admit, *(c.when for c in policy.classes)):
        if when is not None:
            _expect(when, BOOL)


def verify_nodes(roots: Iterable[Node]) -> None:
    """Raises `IllTyped` at the first node below *roots* that is wrong."""
    for node in postorder(roots):
        made = _type(node)
        if made != node.type:
            raise IllTyped(f"{node} has type {node.type}, its operands make {made}")


def _decision(decision: Decision) -> None:
    match decision:
        case Act(holds=holds):
            for hold in holds:
                if hold.lasts is not None:
                    _expect(hold.lasts, quantity(SECOND))
        case Choose(test=test, then=then, other=other):
            _expect(test, BOOL)
            _decision(then)
            _decision(other)
        case Pick(arms=arms):
            _expect_all((a.cost for a in arms), (Kind.QUANTITY,), "a cost")
            _same([a.cost for a in arms])
            for arm in arms:
                _decision(arm.act)
                if arm.when is not None:
                    _expect(arm.when, BOOL)


def _expect(node: Node, wanted: Type) -> None:
    verify_nodes((node,))
    if node.type != wanted:
        raise IllTyped(f"{node} is {node.type}, not {wanted}")


def _expect_all(nodes: Iterable[Node], kinds: tuple[Kind, ...], what: str) -> None:
    for node in nodes:
        verify_nodes((node,))
        if node.type.kind not in kinds:
            raise IllTyped(f"{what} can't be {node.type}")


def _same(nodes: Iterable[Node]) -> Type:
    first, *rest = [n.type for n in nodes]
    if any(t != first for t in rest):
        raise IllTyped(f"operands differ: {', '.join(map(str, (first, *rest)))}")
    return first


def _type(node: Node) -> Type:
    match node:
        case Const(type=type_, value=value):
            wanted = {Kind.BOOL: bool, Kind.TEXT: str}.get(type_.kind, float)
            if type(value) is not wanted:
                raise IllTyped(f"{value!r} is no {type_}")
            return type_
        case Read(key=key):
            return _signal(key, node.type)
        case Param(type=type_):
            return type_
        case Unary(op="not", operand=operand):
            return _same((operand, Const(BOOL, node.span, True)))
        case Unary(operand=operand):
            return operand.type
        case Binary(op=op, left=left, right=right):
            return _binary(op, left, right)
        case Call(name=name, args=args):
            return _call(name, args)
        case If(test=test, then=then, other=other):
            _expect_type(test, BOOL)
            return _same((then, other))
        case TextIs(subject=subject):
            _expect_type(subject, TEXT)
            return BOOL
        case Least(arms=arms):
            _same([a.cost for a in arms])
            for arm in arms:
                if arm.allowed is not None:
                    _expect_type(arm.allowed, BOOL)
            return HANDLING
    raise IllTyped(f"unknown node {type(node).__name__}")


def _expect_type(node: Node, wanted: Type) -> None:
    if node.type != wanted:
        raise IllTyped(f"{node} is {node.type}, not {wanted}")


def _signal(key: str, given: Type) -> Type:
    *_, last = key.split(".")
    if last == "known":
        return BOOL
    if last in catalogue.SHAPE or key.split(".", maxsplit=1)[0] in catalogue.DECLARED:
        return given
    return catalogue.signal_of(key).type


def _binary(op: str, left: Node, right: Node) -> Type:
    a, b = left.type, right.type
    match op:
        case "and" | "or":
            _expect_type(left, BOOL)
            return _same((left, right))
        case "<" | "<=" | ">" | ">=" | "==" | "!=":
            _same((left, right))
            return BOOL
        case "*":
            return quantity(a.dim * b.dim)
        case "/":
            return quantity(a.dim / b.dim)
        case "^":
            return _power(left, right)
    if INSTANT in (a, b):
        return _instant(op, a, b)
    return _same((left, right))


def _instant(op: str, a: Type, b: Type) -> Type:
    duration = quantity(SECOND)
    match (a, op, b):
        case (Type(kind=Kind.INSTANT), "-", Type(kind=Kind.INSTANT)):
            return duration
        case (Type(kind=Kind.INSTANT), _, _) if b == duration:
            return INSTANT
        case (_, "+", Type(kind=Kind.INSTANT)) if a == duration:
            return INSTANT
    raise IllTyped(f"{a} {op} {b}")


def _power(left: Node, right: Node) -> Type:
    _expect_type(right, quantity(NUMBER))
    if left.type.dim == NUMBER:
        return left.type
    if not isinstance(right, Const) or not isinstance(right.value, float):
        raise IllTyped(f"{left.type} to a power that varies")
    return quantity(left.type.dim ** Fraction(right.value).limit_denominator(1000))


def _call(name: str, args: tuple[Node, ...]) -> Type:
    match name:
        case "min" | "max" | "clamp":
            return _same(args)
        case "abs" | "floor" | "ceil":
            return args[0].type
        case "sqrt":
            return quantity(args[0].type.dim ** _HALF)
        case _:
            _expect_type(args[0], quantity(NUMBER))
            return quantity(NUMBER)
