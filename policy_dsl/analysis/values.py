"""What an operation of the language can give, from what its operands can be."""

from __future__ import annotations

import math

from policy_dsl import ir
from policy_dsl.analysis import intervals
from policy_dsl.analysis.intervals import EITHER, INF, Interval, Truth, hull, union
from policy_dsl.analysis.signals import Values
from policy_dsl.codegen import arithmetic
from policy_dsl.types import Handling, Kind

Codes = frozenset[float]  # of handlings
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def merged(a: Values, b: Values) -> Values:
    """What is in one or the other."""
    match a, b:
        case Interval(), Interval():
            return hull(a, b)
        case Truth(), Truth():
            return union(a, b)
        case frozenset(), frozenset():
            return a | b
    return None


def possible_arms(handlings: list[Handling], costs: list[Interval], allowed: list[Truth]) -> Codes:
    """What `least` can answer."""
    sure = [i for i, (c, may) in enumerate(zip(costs, allowed, strict=True)) if may.always and not c.nan]
    possible = set() if sure else {float(Handling.DISCARD)}
    for i, (cost, may) in enumerate(zip(costs, allowed, strict=True)):
        beaten = any(costs[j].high < cost.low or (j < i and costs[j].high == cost.low) for j in sure if j != i)
        if may.can_hold and not cost.empty and not beaten:
            possible.add(float(handlings[i]))
    return frozenset(possible)


def of_constant(node: ir.Const, value: float | bool | str) -> Values:
    match value:
        case bool():
            return Truth(value, not value)
        case str():
            return None
    if node.type.kind is Kind.HANDLING:
        return frozenset({value})
    return Interval(INF, -INF, True) if math.isnan(value) else Interval(value, value)


def compared(op: str, a: Values, b: Values) -> Truth:
    match a, b:
        case Interval(), Interval():
            return intervals.compare(op, a, b)
        case Truth(), Truth():
            return intervals.compare(op, as_number(a), as_number(b))
        case frozenset(), frozenset():
            same = Truth(bool(a & b), not (len(a) == 1 and a == b))
            return same if op == "==" else Truth(same.can_fail, same.can_hold)
    return EITHER


def as_number(truth: Truth) -> Interval:
    return Interval(0.0 if truth.can_fail else 1.0, 1.0 if truth.can_hold else 0.0)


def called(name: str, args: list[Interval]) -> Interval:
    match name:
        case "min" | "max":
            fold = intervals.minimum if name == "min" else intervals.maximum
            result = args[0]
            for other in args[1:]:
                result = fold(result, other)
            return result
        case "clamp":
            return intervals.minimum(intervals.maximum(args[0], args[1]), args[2])
    return intervals.FUNCTIONS[name](args[0])


def text_is(subject: ir.Node, patterns: tuple[str, ...]) -> Truth:
    if isinstance(subject, ir.Const):
        same = arithmetic.matches(str(subject.value), patterns)
        return Truth(same, not same)
    return Truth(bool(patterns), "*" not in patterns)


def clock(node: ir.Binary) -> str | None:
    """`engine.now - request.arrival` is `request.age`: bounded below, which the two instants alone don't tell."""
    match node:
        case ir.Binary(op="-", left=ir.Read(key="engine.now"), right=ir.Read(key="request.arrival")):
            return "request.age"
        case ir.Binary(op="-", left=ir.Read(key="engine.now"), right=ir.Read(key="session.arrival")):
            return "session.age"
    return None


def cut(mine: Interval, other: Interval, op: str, holds: bool) -> Interval | None:
    """*mine* where `mine op other` holds (or fails); None where that says nothing."""
    if not holds:
        if (mine.nan or other.nan) and op != "!=":
            return None
        op = OPPOSITE[op]
    low, high, nan = mine.low, mine.high, False
    match op:
        case "<":
            high = min(high, math.nextafter(other.high, -INF))
        case "<=":
            high = min(high, other.high)
        case ">":
            low = max(low, math.nextafter(other.low, INF))
        case ">=":
            low = max(low, other.low)
        case "==":
            low, high = max(low, other.low), min(high, other.high)
        case "!=" if other.is_point:
            nan = mine.nan
            low = math.nextafter(low, INF) if low == other.low else low
            high = math.nextafter(high, -INF) if high == other.low else high
        case _:
            return None
    return Interval(low, high, nan) if low <= high or nan else None
