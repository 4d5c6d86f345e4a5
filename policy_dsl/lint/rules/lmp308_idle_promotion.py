"""LMP308: promotion in an order that is by arrival anyway."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.diagnostics.model import Diagnostic, Fix
from policy_dsl.limits import of_waiting
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import whole_lines


class IdlePromotion(Rule):
    """`promote` without `by`, where the rank is by arrival: promoted requests keep the place they have.

    ## Why

    Whoever has waited long arrived early and is first already. The statement looks like a guard
    and is none. (Not so where a limit on what runs is given out `by` an order: the promoted come
    first in that one.)

    ## Avoid

    ```lamps
    rank request.arrival
    promote when request.age >= 1min
    ```

    ## Prefer

    ```lamps
    rank request.arrival
    ```
    """

    code, name = "LMP308", "idle-promotion"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement, promote = s.first(nodes.PromoteStatement), s.policy.promote
        if statement is None or promote is None or promote.by or _gives_out(s.policy):
            return
        first = s.policy.rank[0] if s.policy.rank else None
        by_arrival = first is None or (
            isinstance(first.expr, ir.Read) and first.expr.key == "request.arrival" and not first.highest
        )
        if by_arrival and _is_age_bound(promote.when):
            fix = Fix("remove `promote`", (whole_lines(statement.span),))
            help = "remove it, or rank by something else"
            yield self.finding("this changes nothing: the rank is by arrival", statement.span, "", help, (), fix)


def _gives_out(policy: ir.Policy) -> bool:
    """Whether a limit on what runs is given out by an order, in which the promoted come first."""
    return any(limit.by and of_waiting(limit.name) for limit in policy.limits)


def _is_age_bound(when: ir.Node) -> bool:
    """`request.age >= E` with E the same for all: those that arrived first are promoted first."""
    match when:
        case ir.Binary(op=">=" | ">", left=ir.Read(key="request.age"), right=ir.Const() | ir.Param()):
            return True
        case ir.Binary(op="<=" | "<", left=ir.Const() | ir.Param(), right=ir.Read(key="request.age")):
            return True
    return False


RULE = IdlePromotion
