"""LMP610: comparing a condition with true or false."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class ComparedWithTruth(Rule):
    """`x == true`, `x != false` and the like.

    ## Why

    A condition is what it is: `x`, or `not x`.

    ## Avoid

    ```lamps
    on call if call.duration.known == true { preserve for 10s } else { discard }
    ```

    ## Prefer

    ```lamps
    on call if call.duration.known { preserve for 10s } else { discard }
    ```
    """

    code, name = "LMP610", "compared-with-truth"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Infix):
            if e.op not in ("==", "!="):
                continue
            for side, other in ((e.left, e.right), (e.right, e.left)):
                if isinstance(side, nodes.Truth) and not isinstance(other, nodes.Truth):
                    same = side.value == (e.op == "==")
                    simple = isinstance(other, nodes.Path | nodes.Name | nodes.Apply)
                    better = text(other.span) if same else f"not {text(other.span)}"
                    fix = Fix("say it plainly", (Edit(e.span, better),)) if simple else None
                    yield self.finding(
                        "a condition is true or false by itself", e.span, "", f"write `{better}`", (), fix
                    )
                    break


RULE = ComparedWithTruth
