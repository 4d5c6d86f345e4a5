"""LMP402: a link of an action that is never reached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.actions import LONGEST_HOLD_S, actions
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class UnreachableLink(Rule):
    """`A for D then B` where D is longer than anything is held: B is never reached.

    ## Why

    The adapter holds memory for ten minutes at most. A link that would begin later never does.

    ## Avoid

    ```lamps
    on call preserve for 10min then swap
    ```

    ## Prefer

    ```lamps
    on call preserve for 1min then swap
    ```
    """

    code, name = "LMP402", "unreachable-link"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for action, act in actions(s):
            for (link, after), hold in zip(pairwise(action.links), act.holds, strict=False):
                if hold.lasts is not None and s.ranges.numbers(hold.lasts).low >= LONGEST_HOLD_S:
                    label = (Label((link.lasts or link).span, "at least 10 minutes"),)
                    yield self.finding("this is never reached", after.span, "", "shorten what stands before it", label)


RULE = UnreachableLink
