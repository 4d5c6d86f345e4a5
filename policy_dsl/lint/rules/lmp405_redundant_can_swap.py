"""LMP405: asking whether swapping is possible before swapping."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import between
from policy_dsl.types import Handling


class RedundantCanSwap(Rule):
    """`when engine.can_swap` on an arm that swaps.

    ## Why

    An arm that cannot be carried out now is not considered anyway: no host memory, no transfer
    engine, over a limit. The condition says a part of that, as if the rest were not seen to.

    ## Avoid

    ```lamps
    on call least {
      swap: swap_time(call.context) when engine.can_swap
      discard: prefill_time(call.context)
    }
    ```

    ## Prefer

    ```lamps
    on call least {
      swap: swap_time(call.context)
      discard: prefill_time(call.context)
    }
    ```
    """

    code, name = "LMP405", "redundant-can-swap"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for arm in s.every(nodes.Arm):
            if not isinstance(arm.when, nodes.Path) or arm.when.path != "engine.can_swap":
                continue
            if arm.action.links[0].handling is Handling.SWAP:
                rest = between(s.source, arm.cost.span, arm.when.span)
                gone = type(rest)(s.source, rest.line, rest.column, arm.when.span.end_line, arm.when.span.end_column)
                fix = Fix("remove the condition", (Edit(gone, ""),))
                message = "an arm that cannot swap is not considered anyway"
                yield self.finding(message, arm.when.span, "", "remove `when engine.can_swap`", (), fix)


RULE = RedundantCanSwap
