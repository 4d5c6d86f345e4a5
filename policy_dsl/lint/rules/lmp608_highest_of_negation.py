"""LMP608: the highest of a negation."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.orders import orders
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class HighestOfNegation(Rule):
    """`highest -x`, or `-x` as a key: a direction said by turning the number round.

    ## Why

    `highest` is the word for it. With the minus the reader has to turn the order round in the head,
    with both twice.

    ## Avoid

    ```lamps
    rank highest -predict.output, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP608", "highest-of-negation"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for keys in orders(s):
            for key in keys:
                e = key.expr
                if isinstance(e, nodes.Prefix) and e.op == "-" and not isinstance(e.operand, nodes.Prefix):
                    better = text(e.operand.span) if key.highest else f"highest {text(e.operand.span)}"
                    fix = Fix("say the direction", (Edit(key.span, better),))
                    yield self.finding("a minus turns this order round", key.span, "", f"write `{better}`", (), fix)


RULE = HighestOfNegation
