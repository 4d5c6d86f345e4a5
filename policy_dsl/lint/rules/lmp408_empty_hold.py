"""LMP408: a hold of no length."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.actions import actions
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class EmptyHold(Rule):
    """A hold that lasts 0 or less.

    ## Why

    It ends in the moment it begins: what stands after `then` is what happens.

    ## Avoid

    ```lamps
    on call preserve for 0s then swap
    ```

    ## Prefer

    ```lamps
    on call swap
    ```
    """

    code, name = "LMP408", "empty-hold"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for action, act in actions(s):
            for link, hold in zip(action.links, act.holds, strict=True):
                if hold.lasts is not None and link.lasts is not None and s.ranges.numbers(hold.lasts).high <= 0:
                    help = "remove this link, or give it a length"
                    yield self.finding("this ends in the moment it begins", link.span, help=help)


RULE = EmptyHold
