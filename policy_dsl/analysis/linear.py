"""An expression as `rate * wait + rest`: whether it grows as fast for every row that waits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from policy_dsl import ir

# Clocks that run one second a second for every row that waits and has not started yet.
_TURN = ("request.age", "request.waited")
_SESSION = ("session.age",)


@dataclass(frozen=True, slots=True)
class Growth:
    """`constant - rate * wait + sum(factor * node)`, the rate in units of the expression per second, above 0.

    *session*: the wait is counted from the session's arrival, not the turn's.
    """

    rate: float
    rest: tuple[tuple[float, ir.Node], ...]
    session: bool


@dataclass(slots=True)
class _Sum:
    turn: float = 0.0
    session: float = 0.0
    rest: list[tuple[float, ir.Node]] = field(default_factory=list)


def growth(node: ir.Node, sign: float) -> Growth | None:
    """How `sign * node`, lowest first, falls as a row waits; None where it isn't such a sum."""
    total = _Sum()
    _collect(node, sign, total)
    if total.turn < 0 and total.session == 0:
        return Growth(-total.turn, tuple(total.rest), False)
    if total.session < 0 and total.turn == 0:
        return Growth(-total.session, tuple(total.rest), True)
    return None


def _collect(node: ir.Node, factor: float, total: _Sum) -> None:
    match node:
        case ir.Binary(op="+" | "-" as op, left=left, right=right):
            _collect(left, factor, total)
            _collect(right, factor if op == "+" else -factor, total)
        case ir.Unary(op="-", operand=operand):
            _collect(operand, -factor, total)
        case ir.Binary(op="*", left=left, right=ir.Const(value=float() as size)) if _counts(size):
            _collect(left, factor * size, total)
        case ir.Binary(op="*", left=ir.Const(value=float() as size), right=right) if _counts(size):
            _collect(right, factor * size, total)
        case ir.Binary(op="/", left=left, right=ir.Const(value=float() as size)) if _counts(size):
            _collect(left, factor / size, total)
        case ir.Read(key=key) if key in _TURN:
            total.turn += factor
        case ir.Read(key=key) if key in _SESSION:
            total.session += factor
        case ir.Read(key="request.arrival"):
            total.turn -= factor  # the later, the larger: against `now`, which all rows share
        case ir.Read(key="session.arrival"):
            total.session -= factor
        case ir.Read(key="engine.now"):
            pass
        case _:
            total.rest.append((factor, node))


def _counts(size: float) -> bool:
    return math.isfinite(size) and size != 0.0
