"""LMP224: a condition that reads nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.codegen.lower import postorder
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.conditions import conditions
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class ConstantCondition(Rule):
    """A condition that reads no signal and no param: it has been decided while writing it.

    ## Why

    One side of it is dead text, which the next reader takes for something that happens.

    ## Avoid

    ```lamps
    on call if 2 > 1 { preserve for 10s } else { discard }
    ```

    ## Prefer

    ```lamps
    on call preserve for 10s
    ```
    """

    code, name = "LMP224", "constant-condition"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in conditions(s):
            # In a function, one node for each use: what one use decides is the caller's affair.
            answers = {_constant(s, node) for node in s.at(e) if s.ranges.reached(node)}
            if answers in ({True}, {False}):
                holds = answers == {True}
                word = "true" if holds else "false"
                yield self.finding(f"this condition is always {word}", e.span, help=_help(e, holds))


def _constant(s: Subject, node: ir.Node) -> bool | None:
    """What *node* is where it reads nothing."""
    reads = any(isinstance(n, ir.Read | ir.Param) for n in postorder((node,)))
    return None if reads else s.ranges.truth(node).always


def _help(e: nodes.Expr, holds: bool) -> str:
    return "keep only what follows it" if holds else "remove it with what follows it"


RULE = ConstantCondition
