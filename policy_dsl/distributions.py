"""Built-ins that read a whole prediction: `chance`, `capped`, `best_hold`.

A prediction is log-normal, given by `mu` and `sigma` (of the natural logarithm of its value in base
units); sigma 0 is a point at its mean. A running call is known to take longer than `after`: there the
prediction is that log-normal given X > after, and its mean is the mean of that. All three built-ins have
closed forms, written out as ordinary IR; of a rule that is asked before the call `settle` leaves the shorter one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import agree, is_zero, said
from policy_dsl.catalogue import SIGNALS
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label, Span
from policy_dsl.prediction import EXHAUSTED
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, Kind, quantity

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

_NUMBER = quantity()


class _Maths:
    """Arithmetic on nodes at one span, over one prediction. Types inside the formulas are plain numbers."""

    def __init__(self, el: Elaborator, span: Span, signal: str) -> None:
        self._el, self._span = el, span
        self.plain, self.mu, self.sigma, self.after = (
            el.read(signal + s, span) for s in ("", ".mu", ".sigma", ".after")
        )
        self.mean = self.number(self.plain)
        self.spread = self.compare(self.sigma, ">", self.constant(0.0))

    def constant(self, value: float) -> ir.Node:
        return self._el.make(ir.Const, _NUMBER, self._span, value)

    def op(self, left: ir.Node, op: str, right: ir.Node) -> ir.Node:
        return self._el.make(ir.Binary, _NUMBER, self._span, op, left, right)

    def compare(self, left: ir.Node, op: str, right: ir.Node) -> ir.Node:
        return self._el.make(ir.Binary, BOOL, self._span, op, left, right)

    def call(self, name: str, *args: ir.Node) -> ir.Node:
        return self._el.make(ir.Call, _NUMBER, self._span, name, args)

    def choose(self, test: ir.Node, then: ir.Node, other: ir.Node) -> ir.Node:
        return self._el.make(ir.If, then.type, self._span, test, then, other)

    def standard(self, x: ir.Node) -> ir.Node:
        """`(log(max(x, 0)) - mu) / sigma`: minus infinity for what no value can be."""
        log = self.call("log", self.call("max", x, self.constant(0.0)))
        return self.op(self.op(log, "-", self.mu), "/", self.sigma)

    def running(self, then: ir.Node, other: ir.Node) -> ir.Node:
        """*then* of a call that runs, else *other*."""
        return self.choose(self.compare(self.after, ">", self.constant(0.0)), then, other)

    def above(self, z: ir.Node, shift: ir.Node) -> ir.Node:
        """N(shift - z) / N(shift - l), l standing for `after`: for *shift* 0 the chance to be above *z* and *after*."""
        low = self.standard(self.after)
        over = self.call("normal_cdf", self.op(shift, "-", self.call("max", z, low)))
        all_ = self.call("max", self.call("normal_cdf", self.op(shift, "-", low)), self.constant(EXHAUSTED))
        return self.call("min", self.op(over, "/", all_), self.constant(1.0))

    def number(self, node: ir.Node) -> ir.Node:
        """*node* in base units, as a plain number."""
        one = self._el.make(ir.Const, node.type, self._span, 1.0)
        return self.op(node, "/", one)

    def typed(self, node: ir.Node, like: ir.Node) -> ir.Node:
        """*node* with the unit of *like*: times one of it."""
        one = self._el.make(ir.Const, like.type, self._span, 1.0)
        return self._el.make(ir.Binary, like.type, self._span, "*", node, one)


def _maths(el: Elaborator, e: nodes.Apply, which: nodes.Expr, env: Env) -> tuple[_Maths, ir.Node] | None:
    """The prediction named by *which*, and the node of its mean (for its unit)."""
    if isinstance(which, nodes.Path) and which.path in SIGNALS and SIGNALS[which.path].distribution:
        m = _Maths(el, e.span, which.path)
        return m, m.plain
    names = ", ".join(f"`{s.name}`" for s in SIGNALS.values() if s.distribution)
    if el.expr(which, env) is not None:
        message = f"`{e.function.name}` needs a prediction by name"
        el.error(codes.DISTRIBUTION, message, which.span, env, help=f"predictions: {names}")
    return None


def chance(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """`chance(D <= x)`, also with `<`, `>=`, `>`: N(z), and 1 - N(-max(z, l)) / N(-l) given D > a.

    z and l are the standardised logarithms of x and a.
    """
    condition = e.args[0]
    if not isinstance(condition, nodes.Infix) or condition.op not in ("<", "<=", ">", ">="):
        help = "write `chance(call.duration <= 2s)`"
        return el.error(codes.DISTRIBUTION, "`chance` takes a comparison", condition.span, env, help=help)
    named = _maths(el, e, condition.left, env)
    bound = el.expr(condition.right, env)
    if named is None or bound is None:
        return None
    m, mean = named
    sides = agree(el, "compare", [(condition.left, mean), (condition.right, bound)], env)
    if sides is None:
        return None
    x = m.number(sides[1])
    z = m.standard(x)
    below = m.running(m.op(m.constant(1.0), "-", m.above(z, m.constant(0.0))), m.call("normal_cdf", z))
    if condition.op in (">", ">="):
        below = m.op(m.constant(1.0), "-", below)
    point = m.choose(m.compare(m.mean, condition.op, x), m.constant(1.0), m.constant(0.0))
    return m.choose(m.spread, below, point)


def capped(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """E[min(D, x)] = mean N(z - sigma) + x (1 - N(z)), with z = (log x - mu) / sigma.

    Given D > a it is mean (1 - N(sigma - u) / N(sigma - l)) + x N(-u) / N(-l), with l the same of a, u = max(z, l).
    """
    named = _maths(el, e, e.args[0], env)
    bound = el.expr(e.args[1], env)
    if named is None or bound is None:
        return None
    m, mean = named
    sides = agree(el, "compare", [(e.args[0], mean), (e.args[1], bound)], env)
    if sides is None:
        return None
    cap = sides[1]
    # Infinite x would give infinity times 0; so large a finite one changes nothing.
    x = m.call("clamp", m.number(cap), m.constant(0.0), m.constant(1e300))
    z = m.standard(x)
    inside = m.op(m.mean, "*", m.call("normal_cdf", m.op(z, "-", m.sigma)))
    outside = m.op(x, "*", m.op(m.constant(1.0), "-", m.call("normal_cdf", z)))
    short = m.op(m.mean, "*", m.op(m.constant(1.0), "-", m.above(z, m.sigma)))
    given = m.op(short, "+", m.op(x, "*", m.above(z, m.constant(0.0))))
    spread = m.typed(m.running(given, m.op(inside, "+", outside)), mean)
    return m.choose(m.spread, spread, el.make(ir.Call, mean.type, e.span, "min", (mean, cap)))


def best_hold(el: Elaborator, e: nodes.Apply, env: Env) -> ir.Node | None:
    """The t >= 0 that maximises `chance(D <= t) gain - t price`: 0, or the far root of its derivative.

    With u = log t the derivative is 0 where (u - mu)^2 + 2 sigma^2 (u + log(sqrt(2 pi) sigma price / gain)) = 0.
    Of a call that has run for a, t >= a is sought, and what was paid until a is paid whatever comes: `a` means that
    holding on is worth nothing more. There the price is that of what is left of the chance, price N(-l).
    Without a price holding for ever is best, if there is anything to gain.
    """
    named = _maths(el, e, e.args[0], env)
    gain, price = el.expr(e.args[1], env), el.expr(e.args[2], env)
    if named is None or gain is None or price is None:
        return None
    for side, node in zip(e.args[1:], (gain, price), strict=True):
        if node.type.kind is not Kind.QUANTITY:
            return el.wrong(side, node, "a quantity", env)
    m, mean = named
    whole = quantity(gain.type.dim / price.type.dim)
    if whole != mean.type and not is_zero(e.args[1]) and not is_zero(e.args[2]):
        message = f"gain / price must be {mean.type}, not {said(whole)}"
        labels = (Label(e.args[2].span, f"this is {said(price.type)}"), *el.declared(env, *e.args[1:]))
        return el.error(codes.UNITS, message, e.args[1].span, env, f"this is {said(gain.type)}", labels)
    zero, gain, price = m.constant(0.0), m.number(gain), m.number(price)
    variance = m.op(m.sigma, "*", m.sigma)
    left = m.call("normal_cdf", m.op(zero, "-", m.standard(m.after)))
    dear = m.running(m.op(price, "*", left), price)
    ratio = m.op(m.op(m.op(dear, "/", gain), "*", m.sigma), "*", m.constant(math.sqrt(2 * math.pi)))
    double = m.op(m.constant(2.0), "*", m.op(m.mu, "+", m.call("log", ratio)))
    inner = m.op(variance, "-", double)
    u = m.op(m.op(m.mu, "-", variance), "+", m.op(m.sigma, "*", m.call("sqrt", inner)))
    far = m.running(m.call("max", m.call("exp", u), m.after), m.call("exp", u))
    z = m.standard(far)
    met = m.running(m.op(m.constant(1.0), "-", m.above(z, zero)), m.call("normal_cdf", z))
    reached = m.choose(m.spread, met, m.constant(1.0))
    t = m.choose(m.spread, far, m.mean)
    more = m.running(m.op(t, "-", m.after), t)
    worth = m.compare(m.op(m.op(reached, "*", gain), "-", m.op(more, "*", price)), ">", zero)
    paid = m.choose(worth, t, m.after)
    for_ever = m.choose(m.compare(gain, ">", zero), m.constant(math.inf), zero)
    return m.typed(m.choose(m.compare(price, ">", zero), paid, for_ever), mean)
