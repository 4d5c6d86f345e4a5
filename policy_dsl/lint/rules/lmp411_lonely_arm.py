"""LMP411: the cheapest of one."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class LonelyArm(Rule):
    """`least` with one arm and no condition: its price decides nothing.

    ## Why

    A price only means something beside another. Whoever reads it looks for the choice.

    ## Avoid

    ```lamps
    on call least { discard: prefill_time(call.context) }
    ```

    ## Prefer

    ```lamps
    on call discard
    ```
    """

    code, name = "LMP411", "lonely-arm"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for least in s.every(nodes.LeastOf):
            if len(least.arms) == 1 and least.arms[0].when is None:
                action = text(least.arms[0].action.span)
                fix = Fix("keep the action alone", (Edit(least.span, action),))
                yield self.finding("there is nothing to choose here", least.span, "", f"write `{action}`", (), fix)


RULE = LonelyArm
