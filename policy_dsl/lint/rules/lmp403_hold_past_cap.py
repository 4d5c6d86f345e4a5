"""LMP403: a hold longer than anything is held."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.actions import LONGEST_HOLD_S, actions
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class HoldPastCap(Rule):
    """A hold of more than ten minutes: the adapter gives the memory up then, whatever the policy says.

    ## Why

    Sessions get lost: a client crashes in the middle of a call and never returns. The cap keeps
    their memory from being held for ever; a policy that asks for more is cut, and should say so.

    ## Avoid

    ```lamps
    on call preserve for 20min
    ```

    ## Prefer

    ```lamps
    on call preserve for 10min
    ```
    """

    code, name = "LMP403", "hold-past-cap"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for action, act in actions(s):
            for link, hold in zip(action.links, act.holds, strict=True):
                if hold.lasts is None or link.lasts is None:
                    continue
                found = s.ranges.numbers(hold.lasts)
                if found.low > LONGEST_HOLD_S:
                    yield self.finding("nothing is held longer than 10 minutes", link.lasts.span, help="write `10min`")


RULE = HoldPastCap
