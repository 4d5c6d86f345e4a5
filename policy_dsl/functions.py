"""The built-in functions: signature, meaning, and how each becomes IR.

Cost functions are no operations of their own: they are written out over the hidden `cost.*` signals,
so that every reading of a policy gets them for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from policy_dsl import distributions, ir, nodes
from policy_dsl.agree import agree, is_zero, said
from policy_dsl.diagnostics import codes
from policy_dsl.names import did_you_mean
from policy_dsl.scope import Env
from policy_dsl.types import Kind, quantity
from policy_dsl.units import NUMBER, SECOND, TOKEN

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

Rule = Callable[["Elaborator", nodes.Apply, Env], "ir.Node | None"]


@dataclass(frozen=True, slots=True)
class Builtin:
    """*least* and *most* arguments are taken (most None: any number)."""

    signature: str
    doc: str
    least: int
    most: int | None
    rule: Rule


def apply(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """A call of a function that the policy doesn't define."""
    name = e.function.name
    known = BUILTINS.get(name)
    if known is None:
        defined = [d.name for d in el.definitions.values() if d.is_function]
        if name in env.local:
            return el.error(codes.NOT_A_FUNCTION, f"`{name}` is not a function", e.function.span, env)
        help = did_you_mean(name, (*BUILTINS, *defined))
        if name == "lognormal":
            help = "`lognormal(p50, p90)` is a value given to a prediction in a test"
        return (
            None
            if name.startswith("?")
            else el.error(codes.UNKNOWN_FUNCTION, f"unknown function `{name}`", e.function.span, env, help=help)
        )
    if len(e.args) < known.least or (known.most is not None and len(e.args) > known.most):
        help = f"write `{known.signature}`"
        return el.error(codes.ARGUMENTS, _count(name, known, len(e.args)), e.span, env, help=help)
    return known.rule(el, e, env)


def _count(name: str, known: Builtin, given: int) -> str:
    if known.most is None:
        takes = f"{known.least} or more"
    else:
        takes = str(known.least) if known.least == known.most else f"{known.least} or {known.most}"
    return f"`{name}` takes {takes} argument{'' if takes == '1' else 's'}, not {given}"


def _fold(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """min and max of any number of values, two at a time."""
    sides = _ordered(el, e, env)
    if sides is None:
        return None
    result = sides[0]
    for side in sides[1:]:
        result = el.make(ir.Call, result.type, e.span, e.function.name, (result, side))
    return result


def _clamp(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    sides = _ordered(el, e, env)
    return None if sides is None else el.make(ir.Call, sides[0].type, e.span, "clamp", tuple(sides))


def _ordered(el: Elaborator, e: nodes.Apply, env: Env) -> list[ir.Node] | None:
    sides = agree(el, "compare", [(a, el.expr(a, env)) for a in e.args], env)
    if sides is not None and sides[0].type.kind not in (Kind.QUANTITY, Kind.INSTANT):
        el.wrong(e.args[0], sides[0], "a quantity", env)
        return None
    return sides


def _quantity(el: Elaborator, e: nodes.Expr, env: Env) -> ir.Node | None:
    node = el.expr(e, env)
    if node is not None and node.type.kind is not Kind.QUANTITY:
        return el.wrong(e, node, "a quantity", env)
    return node


def _abs(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    node = _quantity(el, e.args[0], env)
    return None if node is None else el.make(ir.Call, node.type, e.span, "abs", (node,))


def _sqrt(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    node = _quantity(el, e.args[0], env)
    if node is None:
        return None
    return el.make(ir.Call, quantity(node.type.dim ** Fraction(1, 2)), e.span, "sqrt", (node,))


def _of_number(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """floor ceil exp log log2: their answer depends on the unit, so they take none."""
    node = _quantity(el, e.args[0], env)
    if node is None:
        return None
    if node.type.dim != NUMBER:
        name, arg = e.function.name, e.args[0]
        message = f"`{name}` takes a plain number, not {said(node.type)}"
        help = f"divide by a reference, such as `{name}(request.age / 1s)`"
        return el.error(codes.UNITS, message, arg.span, env, f"this is {said(node.type)}", el.declared(env, arg), help)
    return el.make(ir.Call, quantity(), e.span, e.function.name, (node,))


def tokens_at_least_0(el: Elaborator, e: nodes.Expr, env: Env) -> ir.Node | None:
    """`max(e, 0)` where *e* must be tokens."""
    node = _quantity(el, e, env)
    if node is None:
        return None
    if is_zero(e):
        return el.retyped(node, quantity(TOKEN))
    if node.type != quantity(TOKEN):
        message = f"expected tokens, found {said(node.type)}"
        return el.error(codes.UNITS, message, e.span, env, f"this is {said(node.type)}", el.declared(env, e))
    return el.make(ir.Call, node.type, e.span, "max", (node, el.make(ir.Const, node.type, e.span, 0.0)))


def _prefill_time(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """`x (cost.prefill + cost.prefill_context (y + x/2))`: attention sees y tokens, then more and more of the x."""
    x = tokens_at_least_0(el, e.args[0], env)
    y = tokens_at_least_0(el, e.args[1], env) if len(e.args) == 2 else None
    if x is None or (y is None and len(e.args) == 2):
        return None
    span, tokens = e.span, quantity(TOKEN)
    per_token = quantity(SECOND / TOKEN)
    seen = el.make(ir.Binary, tokens, span, "/", x, el.make(ir.Const, quantity(), span, 2.0))
    if y is not None:
        seen = el.make(ir.Binary, tokens, span, "+", y, seen)
    more = el.make(ir.Binary, per_token, span, "*", el.read("cost.prefill_context", span), seen)
    each = el.make(ir.Binary, per_token, span, "+", el.read("cost.prefill", span), more)
    return el.make(ir.Binary, quantity(SECOND), span, "*", x, each)


def _time_per_token(key: str) -> Rule:
    def rule(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
        x = tokens_at_least_0(el, e.args[0], env)
        return None if x is None else el.make(ir.Binary, quantity(SECOND), e.span, "*", x, el.read(key, e.span))

    return rule


BUILTINS: dict[str, Builtin] = {
    "min": Builtin("min(a, b, ...)", "the smallest", 2, None, _fold),
    "max": Builtin("max(a, b, ...)", "the largest", 2, None, _fold),
    "clamp": Builtin("clamp(x, low, high)", "x, not below low and not above high", 3, 3, _clamp),
    "abs": Builtin("abs(x)", "x without its sign", 1, 1, _abs),
    "sqrt": Builtin("sqrt(x)", "square root, of the unit too", 1, 1, _sqrt),
    "floor": Builtin("floor(x)", "the whole number at or below a plain number", 1, 1, _of_number),
    "ceil": Builtin("ceil(x)", "the whole number at or above a plain number", 1, 1, _of_number),
    "exp": Builtin("exp(x)", "e to the power of a plain number", 1, 1, _of_number),
    "log": Builtin("log(x)", "natural logarithm of a plain number", 1, 1, _of_number),
    "log2": Builtin("log2(x)", "logarithm to base 2 of a plain number", 1, 1, _of_number),
    "prefill_time": Builtin(
        "prefill_time(n, after)", "time to prefill n tokens, after so many others (0)", 1, 2, _prefill_time
    ),
    "decode_time": Builtin(
        "decode_time(n)", "time to generate n tokens in the present batch", 1, 1, _time_per_token("cost.decode")
    ),
    "swap_time": Builtin("swap_time(n)", "time to move n tokens of KV, one way", 1, 1, _time_per_token("cost.swap")),
    "chance": Builtin("chance(PREDICTION <= x)", "how likely a value is in a range", 1, 1, distributions.chance),
    "capped": Builtin("capped(PREDICTION, x)", "mean of min(value, x)", 2, 2, distributions.capped),
    "best_hold": Builtin(
        "best_hold(PREDICTION, gain, price)",
        "the t that maximises chance(value <= t) * gain - t * price", 3, 3, distributions.best_hold,
    ),
}  # fmt: skip
