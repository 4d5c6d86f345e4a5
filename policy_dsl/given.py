"""Values given in a `test`: constants of the right unit, inside the range of their signal or param."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.catalogue import SIGNALS, STATISTICS, Changes, Signal
from policy_dsl.diagnostics import codes
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, INSTANT, TEXT, Kind, Type, quantity
from policy_dsl.units import SECOND

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator


def field(el: Elaborator, f: nodes.FieldSyntax, of_row: bool, env: Env) -> nodes.Field | None:
    """A given value, in base units; None after a report. *of_row*: it stands in a request or session."""
    path = f.path.name
    if path.startswith(POISON):
        return None
    if "." not in path:
        return _given_param(el, f, of_row, env)
    base, _, last = path.rpartition(".")
    signal = _declared(el, path)
    if signal is not None:
        pass
    elif path.startswith("hint.") and path in el.declared_signals:
        return None  # its statement is broken
    elif last == "known" and base in SIGNALS and SIGNALS[base].distribution:
        signal = replace(SIGNALS[base], name=path, type=BOOL, distribution=False)
    elif path in SIGNALS and not SIGNALS[path].hidden:
        signal = SIGNALS[path]
    else:
        help = did_you_mean(path, [*(s.name for s in SIGNALS.values() if not s.hidden), *el.declared_signals])
        if path.startswith("class."):
            help = "which class a request is of follows from what it is: give that"
        if last in STATISTICS and base in SIGNALS:
            help = f"write `{base}: lognormal(p50, p90)`"
        el.error(codes.UNKNOWN_NAME, f"unknown signal `{path}`", f.path.span, env, help=help)
        return None
    if signal.per_row != of_row:
        where = "a request: write `request NAME { ... }`" if signal.per_row else "the engine: write `given { ... }`"
        el.error(codes.NOT_READABLE, f"`{path}` belongs to {where}", f.path.span, env)
        return None
    value = _value(el, f.value, signal, env)
    return None if value is None else nodes.Field(path, value, f.span)


def _declared(el: Elaborator, path: str) -> Signal | None:
    """What the policy says of `hint.critical`; a given hint is clamped like a client's, so any number will do."""
    type_ = el.declared_signals.get(path) if path.startswith("hint.") else None
    return None if type_ is None else Signal(path, type_, "", Changes.REQUEST, -math.inf)


def _given_param(el: Elaborator, f: nodes.FieldSyntax, of_row: bool, env: Env) -> nodes.Field | None:
    name = f.path.name
    known = el.definitions.get(name)
    if known is not None and isinstance(known.syntax, nodes.Broken):
        return None
    if of_row or known is None or not isinstance(known.syntax, nodes.ParamStatement):
        params = [d.name for d in el.definitions.values() if isinstance(d.syntax, nodes.ParamStatement)]
        help = "write it in `given { ... }`" if name in params else did_you_mean(name, (*params, *SIGNALS))
        what = "a request has no param" if of_row else "there is no param"
        el.error(codes.UNKNOWN_NAME, f"{what} `{name}`", f.path.span, env, help=help)
        return None
    info = el.params.get(name)
    if info is None:
        return None
    value = _value(el, f.value, Signal(name, info.type, info.doc, Changes.EPOCH, info.low, info.high), env)
    return None if value is None else nodes.Field(name, value, f.span)


def _value(el: Elaborator, e: nodes.Expr, signal: Signal, env: Env) -> float | bool | str | nodes.Lognormal | None:
    if isinstance(e, nodes.Apply) and e.function.name == "lognormal":
        return _lognormal(el, e, signal, env)
    if isinstance(e, nodes.Text):
        if signal.type != TEXT:
            el.error(codes.WRONG_TYPE, f"`{signal.name}` is {signal.type}, not a text", e.span, env)
            return None
        return e.value
    if isinstance(e, nodes.Truth) and signal.type == BOOL:
        return e.value
    return _number(el, e, signal, env)


def _number(el: Elaborator, e: nodes.Expr, signal: Signal, env: Env) -> float | None:
    """A constant of the unit of *signal*, inside its range."""
    node = el.expr(e, replace(env, rows=frozenset()))
    if node is None:
        return None
    wanted = quantity(SECOND) if signal.type == INSTANT else signal.type
    if wanted.kind is not Kind.QUANTITY or (node.type != wanted and not is_zero(e)):
        found = said(node.type)
        el.error(codes.UNITS, f"`{signal.name}` is {_named(signal.type)}, not {found}", e.span, env, f"this is {found}")
        return None
    value = constant(node)
    if value is None or math.isnan(value):
        el.error(codes.NOT_CONSTANT, "a given value is a constant", e.span, env)
        return None
    if not signal.low <= value <= signal.high:
        message = f"`{signal.name}` lies between {signal.low:g} and {signal.high:g}"
        el.error(codes.RANGE, message, e.span, env, f"this is {value:g}")
        return None
    return value


def _named(type_: Type) -> str:
    return {TEXT: 'a text: "..."', BOOL: "true or false", INSTANT: "an instant, in seconds"}.get(type_, said(type_))


def _lognormal(el: Elaborator, e: nodes.Apply, signal: Signal, env: Env) -> nodes.Lognormal | None:
    if not signal.distribution:
        el.error(codes.DISTRIBUTION, f"`{signal.name}` is no prediction: give a value", e.span, env)
        return None
    if len(e.args) != 2:
        el.error(codes.ARGUMENTS, "`lognormal` takes two quantiles", e.span, env, help="write `lognormal(p50, p90)`")
        return None
    p50, p90 = (_number(el, a, signal, env) for a in e.args)
    if p50 is None or p90 is None:
        return None
    if not 0 < p50 <= p90 < math.inf:
        el.error(codes.RANGE, "`lognormal(p50, p90)` needs 0 < p50 <= p90", e.span, env)
        return None
    return nodes.Lognormal(p50, p90)


def constant(node: ir.Node) -> float | None:
    """The value of literals and plain arithmetic; None where anything is read, or on a division by 0."""
    match node:
        case ir.Const(value=float() as value):
            return value
        case ir.Unary(op="-"):
            inner = constant(node.operand)
            return None if inner is None else -inner
        case ir.Binary(op="+" | "-" | "*" | "/"):
            a, b = constant(node.left), constant(node.right)
            if a is None or b is None or (node.op == "/" and b == 0):
                return None
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[node.op]
        case _:
            return None
