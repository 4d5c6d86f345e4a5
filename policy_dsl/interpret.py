"""The reference reading of a policy: slow, obvious, and the one the others are tested against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy_dsl.codegen import arithmetic
from policy_dsl.ir import (
    Act,
    Again,
    Arm,
    Binary,
    Call,
    Choose,
    Const,
    Decision,
    If,
    Least,
    LeastArm,
    Node,
    Param,
    Pick,
    Read,
    TextIs,
    Unary,
    children,
)
from policy_dsl.types import Handling
from policy_dsl.verdict import Held, Verdict, cheapest, holds

Value = float | bool | str
Values = Mapping[str, Value]


def evaluate(root: Node, row: Values, engine: Values, params: Mapping[str, float]) -> Value:
    """The value of *root* for one row. Raises KeyError for a signal that neither mapping holds."""
    done: dict[int, Value] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        waiting = [c for c in children(node) if id(c) not in done]
        if waiting:
            stack.extend(waiting)
        else:
            done[id(stack.pop())] = _value(node, done, row, engine, params)
    return done[id(root)]


def _value(node: Node, done: dict[int, Value], row: Values, engine: Values, params: Mapping[str, float]) -> Value:
    match node:
        case Const(value=value):
            return value
        case Read(key=key):
            return row[key] if key in row else engine[key]
        case Param(name=name):
            return params[name]
        case Unary(op=op, operand=operand):
            value = done[id(operand)]
            return not value if op == "not" else -value  # type: ignore[operator]
        case Binary(op=op, left=left, right=right):
            return _OPERATORS[op](done[id(left)], done[id(right)])
        case Call(name=name, args=args):
            return _call(name, [done[id(a)] for a in args])
        case If(test=test, then=then, other=other):
            return done[id(then)] if done[id(test)] else done[id(other)]
        case TextIs(subject=subject, patterns=patterns):
            return arithmetic.matches(str(done[id(subject)]), patterns)
        case Least(arms=arms):
            return arithmetic.least([_arm(a, done) for a in arms])
    raise TypeError(f"no reading of {type(node).__name__}")


def _arm(arm: LeastArm, done: dict[int, Value]) -> tuple[float, float, bool]:
    allowed = True if arm.allowed is None else bool(done[id(arm.allowed)])
    return float(arm.handling), done[id(arm.cost)], allowed  # type: ignore[return-value]


def _call(name: str, args: list[Value]) -> Value:
    if name in ("min", "max"):
        choose = arithmetic.minimum if name == "min" else arithmetic.maximum
        result = args[0]
        for other in args[1:]:
            result = choose(result, other)  # type: ignore[arg-type]
        return result
    return _FUNCTIONS[name](*args)


_OPERATORS: Mapping[str, Callable[[Any, Any], Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": arithmetic.divide,
    "^": arithmetic.power,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
}
_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "abs": abs,
    "clamp": arithmetic.clamp,
    "floor": arithmetic.floor,
    "ceil": arithmetic.ceil,
    "sqrt": arithmetic.sqrt,
    "exp": arithmetic.exp,
    "log": arithmetic.log,
    "log2": arithmetic.log2,
    "normal_cdf": arithmetic.normal_cdf,
}


def decide(
    decision: Decision, row: Values, engine: Values, params: Mapping[str, float], on_call: Decision | None = None
) -> Verdict:
    """What *decision* answers for one row. *on_call* is what `again` asks, which only `while paused` holds."""
    match decision:
        case Act():
            return Verdict(_links(decision, row, engine, params), (), decision.span.line)
        case Again():
            if on_call is None:
                raise ValueError("`again` without `on call`")
            return decide(on_call, row, engine, params)
        case Choose(test=test, then=then, other=other):
            return decide(then if evaluate(test, row, engine, params) else other, row, engine, params, on_call)
        case Pick(arms=arms, span=span):
            costs = tuple(_cost(arm, row, engine, params) for arm in arms)
            chosen = cheapest([(cost, allowed) for _, cost, allowed in costs])
            if chosen is None:
                return Verdict(holds([]), costs, span.line)
            act = arms[chosen].act
            return Verdict(_links(act, row, engine, params), costs, act.span.line)


def _links(act: Act, row: Values, engine: Values, params: Mapping[str, float]) -> tuple[Held, ...]:
    return holds(
        [
            (
                hold.handling,
                None if hold.lasts is None else evaluate(hold.lasts, row, engine, params),  # type: ignore[misc]
                _allowed(hold.handling, engine),
            )
            for hold in act.holds
        ]
    )


def _cost(arm: Arm, row: Values, engine: Values, params: Mapping[str, float]) -> tuple[str, float, bool]:
    when = arm.when is None or bool(evaluate(arm.when, row, engine, params))
    cost = evaluate(arm.cost, row, engine, params)
    return label(arm.act), cost, when and _allowed(arm.act.holds[0].handling, engine)  # type: ignore[return-value]


def _allowed(handling: Handling, engine: Values) -> bool:
    return handling not in (Handling.PRESERVE, Handling.SWAP) or bool(engine[f"allow.{handling.word}"])


def label(act: Act) -> str:
    """`preserve then discard`."""
    return " then ".join(hold.handling.word for hold in act.holds)
