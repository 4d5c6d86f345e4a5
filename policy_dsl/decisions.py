"""`on call`: the decision itself, and what it would answer now, which a rank reads as `handling`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import agree, is_zero, said
from policy_dsl.branches import cases
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Span
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, HANDLING, Handling, Kind, quantity
from policy_dsl.units import SECOND

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

CALL_IS_LIKELY = 0.5  # from this chance on, a turn counts as one that ends in a call


def default(span: Span) -> ir.Act:
    """Without `on call`, KV is discarded: what an engine does by itself."""
    return ir.Act((ir.Hold(Handling.DISCARD, None),), span)


def decision(el: Elaborator, d: nodes.Decision, env: Env) -> ir.Decision | None:
    match d:
        case nodes.Action():
            return action(el, d, env)
        case nodes.LeastOf():
            return _least(el, d, env)
        case nodes.DecideIf():
            test = el.condition(d.test, env)
            then, other = _nested(el, d.then, env), _nested(el, d.other, env)
            return None if test is None or then is None or other is None else ir.Choose(test, then, other, d.span)
        case nodes.DecideMatch():
            return _match(el, d, env)
        case nodes.Again():
            if env.again:
                return ir.Again(d.span)
            help = "it asks `on call` with today's values; elsewhere write the handling"
            el.error(codes.ACTION, "`again` stands in `while paused` only", d.span, env, help=help)
            return None


def _nested(el: Elaborator, d: nodes.Decision, env: Env) -> ir.Decision | None:
    with el.deeper(d.span):
        return decision(el, d, env)


def action(el: Elaborator, a: nodes.Action, env: Env) -> ir.Act | None:
    """A chain such as `preserve for 30s then swap`."""
    before = len(el.found)
    holds = []
    for link, after in zip(a.links, (*a.links[1:], None), strict=True):
        _check_link(el, link, after, env)
        lasts = None if link.lasts is None else _duration(el, link.lasts, env)
        holds.append(ir.Hold(link.handling, lasts))
    broken = any(h.lasts is None and link.lasts is not None for h, link in zip(holds, a.links, strict=True))
    return None if broken or len(el.found) > before else ir.Act(tuple(holds), a.span)


def _check_link(el: Elaborator, link: nodes.Link, after: nodes.Link | None, env: Env) -> None:
    word = link.handling.word
    if link.handling is Handling.NONE:
        help = "`none` is what `handling` reads when no call is foreseen; to give the memory up, write `discard`"
        el.error(codes.ACTION, "`none` is no action", link.span, env, help=help)
    elif link.handling is Handling.DISCARD and (link.lasts is not None or after is not None):
        el.error(codes.ACTION, "nothing comes after `discard`: the memory is gone", link.span, env)
    elif after is not None and link.lasts is None:
        el.error(codes.ACTION, f"how long to {word}?", link.span, env, help=f"write `{word} for 30s then ...`")


def _duration(el: Elaborator, e: nodes.Expr, env: Env) -> ir.Node | None:
    node = el.expr(e, env)
    duration = quantity(SECOND)
    if node is None or node.type == duration:
        return node
    if is_zero(e):
        return el.retyped(node, duration)
    if node.type.kind is not Kind.QUANTITY:
        return el.wrong(e, node, "a duration", env)
    message = f"expected a duration, found {said(node.type)}"
    return el.error(codes.UNITS, message, e.span, env, f"this is {said(node.type)}", el.declared(env, e))


def _least(el: Elaborator, d: nodes.LeastOf, env: Env) -> ir.Pick | None:
    acts = [action(el, arm.action, env) for arm in d.arms]
    costs = agree(el, "compare", [(arm.cost, el.expr(arm.cost, env)) for arm in d.arms], env)
    whens = [None if arm.when is None else el.condition(arm.when, env) for arm in d.arms]
    if costs is None:
        return None
    if costs[0].type.kind is not Kind.QUANTITY:
        el.wrong(d.arms[0].cost, costs[0], "a quantity", env)
        return None
    arms = []
    for arm, act, cost, when in zip(d.arms, acts, costs, whens, strict=True):
        if act is None or (when is None and arm.when is not None):
            return None
        arms.append(ir.Arm(act, cost, when))
    return ir.Pick(tuple(arms), d.span)


def _match(el: Elaborator, d: nodes.DecideMatch, env: Env) -> ir.Decision | None:
    branches = cases(el, d, env)
    decisions = [_nested(el, c.value, env) for c in d.cases]  # type: ignore[arg-type]
    if branches is None or None in decisions:
        return None
    result = decisions[len(branches) - 1]
    for (test, _), chosen in reversed(list(zip(branches[:-1], decisions, strict=False))):
        assert test is not None and chosen is not None and result is not None
        result = ir.Choose(test, chosen, result, d.span)
    return result


def foreseen(el: Elaborator, d: ir.Decision, span: Span) -> ir.Node:
    """What `on call` would answer now, `none` where the turn will rather not end in a call."""
    return _if_likely(el, _answer(el, d), span)


def decided(el: Elaborator, span: Span) -> ir.Node:
    """What `on call at arrival` has answered, `none` where the turn will rather not end in a call."""
    return _if_likely(el, el.make(ir.Read, HANDLING, span, "call.decided"), span)


def _if_likely(el: Elaborator, answer: ir.Node, span: Span) -> ir.Node:
    half = el.make(ir.Const, quantity(), span, CALL_IS_LIKELY)
    unlikely = el.make(ir.Binary, BOOL, span, "<", el.read("call.chance", span), half)
    return el.make(ir.If, HANDLING, span, unlikely, _code(el, Handling.NONE, span), answer)


def _code(el: Elaborator, handling: Handling, span: Span) -> ir.Node:
    return el.make(ir.Const, HANDLING, span, float(handling))


def _answer(el: Elaborator, d: ir.Decision) -> ir.Node:
    match d:
        case ir.Act():
            result = _code(el, Handling.DISCARD, d.span)
            for hold in reversed(d.holds):
                possible = ir.allowed(hold.handling, d.span, el.builder)
                here = _code(el, hold.handling, d.span)
                result = here if possible is None else el.make(ir.If, HANDLING, d.span, possible, here, result)
            return result
        case ir.Pick():
            arms = tuple(ir.LeastArm(a.act.holds[0].handling, a.cost, _possible(el, a)) for a in d.arms)
            return el.make(ir.Least, HANDLING, d.span, arms)
        case ir.Choose():
            return el.make(ir.If, HANDLING, d.span, d.test, _answer(el, d.then), _answer(el, d.other))
        case ir.Again():
            raise AssertionError("`again` stands in `while paused` only")


def _possible(el: Elaborator, arm: ir.Arm) -> ir.Node | None:
    possible = ir.allowed(arm.act.holds[0].handling, arm.act.span, el.builder)
    if possible is None or arm.when is None:
        return possible or arm.when
    return el.make(ir.Binary, BOOL, arm.act.span, "and", possible, arm.when)
