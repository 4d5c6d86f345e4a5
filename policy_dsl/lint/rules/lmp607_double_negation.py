"""LMP607: not not, minus minus."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class DoubleNegation(Rule):
    """`not not x`, `- -x`.

    ## Why

    It says `x`.

    ## Avoid

    ```lamps
    on call if not not call.duration.known { preserve for 10s } else { discard }
    ```

    ## Prefer

    ```lamps
    on call if call.duration.known { preserve for 10s } else { discard }
    ```
    """

    code, name = "LMP607", "double-negation"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Prefix):
            if isinstance(e.operand, nodes.Prefix) and e.operand.op == e.op:
                inner = text(e.operand.operand.span)
                fix = Fix("remove both", (Edit(e.span, inner),))
                yield self.finding("the two cancel out", e.span, "", f"write `{inner}`", (), fix)


RULE = DoubleNegation
