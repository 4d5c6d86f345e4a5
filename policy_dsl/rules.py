"""The rules of a policy, one function each: from a statement to IR, with what it must not read reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policy_dsl import decisions, ir, nodes
from policy_dsl.agree import said
from policy_dsl.catalogue import signal_of
from policy_dsl.diagnostics import codes
from policy_dsl.elaborate import Elaborator
from policy_dsl.limits import LIMITS, LimitInfo, limit_of, names, of_waiting
from policy_dsl.names import did_you_mean
from policy_dsl.rows import changed, parts, reads
from policy_dsl.scope import Env
from policy_dsl.trails import find, read_here, way_to_handling
from policy_dsl.types import HANDLING, Kind, quantity
from policy_dsl.units import NUMBER, SECOND, STEP

Keys = tuple[ir.Key, ...]


def keys(el: Elaborator, given: Sequence[nodes.Key], env: Env) -> Keys | None:
    """An order: values that can be compared, whatever their units."""
    made = []
    for key in given:
        node = el.expr(key.expr, env)
        if node is None:
            continue
        if node.type.kind in (Kind.QUANTITY, Kind.INSTANT, Kind.BOOL):
            made.append(ir.Key(node, key.highest))
        else:
            el.wrong(key.expr, node, "something with an order", env)
    return tuple(made) if len(made) == len(given) else None


def keys_of_paused(el: Elaborator, given: Sequence[nodes.Key], env: Env) -> Keys | None:
    """The same of paused sessions, whose `handling` is what is in force."""
    made = keys(el, given, env)
    in_force = _in_force(el)
    return made and tuple(ir.Key(in_force(k.expr), k.highest) for k in made)


def _in_force(el: Elaborator) -> Callable[[ir.Node], ir.Node]:
    """Puts what is in force in the place of what is foreseen."""

    def instead(node: ir.Node) -> ir.Node | None:
        return el.make(ir.Read, HANDLING, node.span, "call.handling") if node is el.handling else None

    return lambda node: changed(node, instead, el.make)


def promote(el: Elaborator, s: nodes.PromoteStatement, env: Env) -> ir.Promote | None:
    when, by = el.condition(s.when, env), keys(el, s.by, env)
    return None if when is None or by is None else ir.Promote(when, by)


def admit(el: Elaborator, s: nodes.AdmitStatement, env: Env) -> ir.Node | None:
    when = el.condition(s.when, env)
    if when is None or not _foresees(el, when):
        return when
    path = way_to_handling(s.when, "admit", el.definitions)
    message = "`admit` cannot read `handling`: what a call will do with the memory depends on who is let in"
    return el.error(codes.CYCLE, message, s.when.span, env, help=f"the path: {path}")


def _foresees(el: Elaborator, node: ir.Node) -> bool:
    return any(part is el.handling for part in parts(node))


def paused(el: Elaborator, s: nodes.PausedStatement, env: Env) -> ir.Paused | None:
    every = _every(el, s.every, env)
    decision = decisions.decision(el, s.decision, Env(env.visible, again=True))
    if every is None or decision is None:
        return None
    return ir.Paused(every, ir.mapped(decision, _in_force(el)), s.span)


def _every(el: Elaborator, e: nodes.Expr, env: Env) -> ir.Node | None:
    """A duration or steps, the same for all and known beforehand."""
    node = el.expr(e, env)
    if node is None:
        return None
    if node.type not in (quantity(SECOND), quantity(STEP)):
        if node.type.kind is not Kind.QUANTITY:
            return el.wrong(e, node, "a duration or steps", env)
        message = f"expected a duration or steps, found {said(node.type)}"
        return el.error(codes.UNITS, message, e.span, env, f"this is {said(node.type)}", el.declared(env, e))
    read = next(reads(node), None)
    if read is not None:
        message = "how often is asked is the same for all: it reads no signal"
        label = read_here(e, read.key, el.definitions)
        return el.error(codes.NOT_READABLE, message, e.span, env, "", label, "write `1step`, `500ms` or a param")
    if isinstance(node, ir.Const) and not float(node.value) > 0:
        return el.error(codes.RANGE, "time must pass between two askings", e.span, env, help="`1step` is every step")
    return node


# --- limits and budget


def limit(el: Elaborator, s: nodes.LimitStatement, env: Env, classes: Sequence[str]) -> ir.Limit | None:
    """The bound that *s* sets. *classes*: names of the policy's classes."""
    name = s.name.name
    known = name in names(classes)
    if not known:
        _unknown_limit(el, s.name, classes)
    ordered = keys if known and of_waiting(name) else keys_of_paused
    bound, by = el.expr(s.bound, env), ordered(el, s.by, env)
    if bound is None or by is None or not known or not _reads_engine_only(el, s, bound, env):
        return None
    info = limit_of(name)
    share = bound.type == quantity(NUMBER) and (info.unit != NUMBER or _is_share(el, s.bound))
    if not share and bound.type != quantity(info.unit):
        wanted = "a share or tokens" if info.unit != NUMBER else "a share or a number of requests"
        el.wrong(s.bound, bound, wanted, env, _limit_help(info))
        return None
    if info.name == "running" and isinstance(bound, ir.Const) and bound.value == 0:
        el.error(codes.RANGE, "with this limit nothing of it would ever run", s.bound.span, env)
        return None
    return ir.Limit(name, bound, s.span, share, by)


def _limit_help(info: LimitInfo) -> str:
    unit = "tokens" if info.unit != NUMBER else "a number of requests"
    return f"`{info.name}` counts {info.doc}: write a share of `{info.total}` such as `50%`, or {unit}"


def _unknown_limit(el: Elaborator, name: nodes.Ident, classes: Sequence[str]) -> None:
    group, _, what = name.name.rpartition(".")
    help = did_you_mean(name.name, names(classes)) or "what can be limited: " + ", ".join(names(classes))
    message = f"there is no limit `{name.name}`"
    if group and what in LIMITS and group not in classes:
        message = f"there is no class `{group}`"
        help = did_you_mean(group, classes) or "classes: " + ", ".join(classes)
        help = help if classes else f"add `class {group} ...`"
    el.error(codes.UNKNOWN_NAME, message, name.span, Env(0), help=help)


def _reads_engine_only(el: Elaborator, s: nodes.LimitStatement, bound: ir.Node, env: Env) -> bool:
    row = next((r for r in reads(bound) if signal_of(r.key).per_row), None)
    if row is None:
        return True
    label = read_here(s.bound, row.key, el.definitions)
    message = f"a limit holds for the whole engine, `{row.key}` belongs to one request"
    if _foresees(el, bound):
        path = way_to_handling(s.bound, f"limit {s.name.name}", el.definitions)
        el.error(codes.CYCLE, "a limit cannot read `handling`", s.bound.span, env, help=f"the path: {path}")
        return False
    el.error(codes.NOT_READABLE, message, s.bound.span, env, "", label, "read `engine.*` only")
    return False


def _is_share(el: Elaborator, e: nodes.Expr) -> bool:
    """Whether a plain number was written with `%`, there or in a let or param it reads."""

    def percent(node: nodes.Syntax) -> bool:
        if isinstance(node, nodes.Number):
            return node.unit == "%"
        known = el.definitions.get(node.name) if isinstance(node, nodes.Name) else None
        return known is not None and isinstance(known.syntax, nodes.ParamStatement) and percent(known.syntax.default)

    return find(e, percent, el.definitions) is not None


def budget(el: Elaborator, s: nodes.BudgetStatement, env: Env) -> ir.Budget | None:
    """`budget 200us at 4096 requests`."""
    found = len(el.found)
    if s.cost.dim != SECOND:
        message = f"a budget is a time, not {said(quantity(s.cost.dim))}"
        el.error(codes.UNITS, message, s.cost.span, env, help="write `budget 200us at 4096 requests`")
    elif not s.cost.value > 0:
        el.error(codes.RANGE, "no step can cost nothing", s.cost.span, env)
    if not (s.requests.value >= 1 and float(s.requests.value).is_integer()):
        el.error(codes.RANGE, "a budget is for a whole number of requests, 1 or more", s.requests.span, env)
    if s.unit.name != "requests":
        el.error(codes.SYNTAX, f"a budget is for so many requests, not `{s.unit.name}`", s.unit.span, env,
                 help="write `requests`")  # fmt: skip
    return None if len(el.found) > found else ir.Budget(s.cost.value, s.requests.value, s.span)
