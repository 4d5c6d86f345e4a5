"""`if` and `match`, between values and between decisions: both become a chain of conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import agree
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label
from policy_dsl.operators import pattern_is_good
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, HANDLING, TEXT, Handling

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

Branch = tuple["ir.Node | None", nodes.Case]  # its condition, None: always


def cond(el: Elaborator, e: nodes.Cond, env: Env) -> ir.Node | None:
    test = el.condition(e.test, env)
    arms = [(side, el.expr(side, env)) for side in (e.then, e.other)]
    sides = agree(el, "choose between", arms, env)
    if test is None or sides is None or not _is_value(el, e, sides[0], env):
        return None
    return el.make(ir.If, sides[0].type, e.span, test, *sides)


def match(el: Elaborator, e: nodes.Match, env: Env) -> ir.Node | None:
    branches = cases(el, e, env)
    values = [(c.value, el.expr(c.value, env)) for c in e.cases]  # type: ignore[arg-type]
    sides = agree(el, "choose between", values, env)  # type: ignore[arg-type]
    if branches is None or sides is None or not _is_value(el, e, sides[0], env):
        return None
    result = sides[len(branches) - 1]
    for (test, _), value in reversed(list(zip(branches[:-1], sides, strict=False))):
        result = el.make(ir.If, result.type, e.span, test, value, result)
    return result


def _is_value(el: Elaborator, e: nodes.Expr, node: ir.Node, env: Env) -> bool:
    if node.type == TEXT:
        el.wrong(e, node, "a quantity, a condition or a handling", env)
    return node.type != TEXT


def cases(el: Elaborator, e: nodes.Match | nodes.DecideMatch, env: Env) -> list[Branch] | None:
    """The branches in order, the last without condition; None after a report."""
    subject = el.expr(e.subject, env)
    if subject is None:
        return None
    if subject.type not in (TEXT, HANDLING):
        el.wrong(e.subject, subject, "a text or `handling`", env, "choose between quantities with `if`")
        return None
    before = len(el.found)
    seen: dict[object, nodes.Pattern] = {}
    branches: list[Branch] = []
    for case in e.cases:
        for pattern in case.patterns:
            _check_pattern(el, pattern, subject, seen, env)
        branches.append((_test(el, case, subject), case))
    missing = [h.word for h in Handling if h not in seen] if subject.type == HANDLING else ["_"]
    if len(el.found) > before:
        return None
    if "_" not in seen:
        if missing:
            help = f"add `{', '.join(missing)}: ...`" + (" or `_: ...`" if missing != ["_"] else "")
            el.error(codes.MATCH, "this `match` does not cover every case", e.subject.span, env, help=help)
            return None
        branches[-1] = (None, branches[-1][1])
    return branches


def _check_pattern(
    el: Elaborator, pattern: nodes.Pattern, subject: ir.Node, seen: dict[object, nodes.Pattern], env: Env
) -> None:
    match pattern:
        case nodes.Anything():
            key: object = "_"
        case nodes.Text() if subject.type == TEXT:
            key = ("text", pattern.value)
            pattern_is_good(el, pattern, env)
        case nodes.HandlingWord() if subject.type == HANDLING:
            key = pattern.handling
        case _:
            wanted = "a text in quotes" if subject.type == TEXT else "preserve, discard, swap or none"
            el.error(codes.MATCH, f"this case should be {wanted}", pattern.span, env)
            return
    earlier = seen.get("_", seen.get(key))
    if earlier is not None:
        label = Label(earlier.span, "already covered here")
        el.error(codes.MATCH, "this case can never be reached", pattern.span, env, labels=(label,))
    seen[key] = pattern


def _test(el: Elaborator, case: nodes.Case, subject: ir.Node) -> ir.Node | None:
    """Whether *subject* is one of the patterns; None for `_`."""
    texts = tuple(p.value for p in case.patterns if isinstance(p, nodes.Text))
    handlings = [p for p in case.patterns if isinstance(p, nodes.HandlingWord)]
    if any(isinstance(p, nodes.Anything) for p in case.patterns):
        return None
    if subject.type == TEXT:
        return el.make(ir.TextIs, BOOL, case.span, subject, texts)
    test: ir.Node | None = None
    for pattern in handlings:
        code = el.make(ir.Const, HANDLING, pattern.span, float(pattern.handling))
        same = el.make(ir.Binary, BOOL, pattern.span, "==", subject, code)
        test = same if test is None else el.make(ir.Binary, BOOL, case.span, "or", test, same)
    return test
