"""LMP404: memory held until the call returns, with no bound of the policy."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.actions import held_for_good
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class EndlessPin(Rule):
    """`preserve` without `for`, outside `least`, in a policy that does not limit what is pinned.

    ## Why

    A call of a person, or one that hangs, keeps its memory until the cap of ten minutes; a few of
    them fill the device and the queue stands still. In `least` the price of keeping speaks against it
    (LMP415 says when it doesn't); elsewhere nothing does.

    ## Avoid

    ```lamps
    on call preserve
    ```

    ## Prefer

    ```lamps
    on call preserve for 30s
    limit pinned <= 50%
    ```
    """

    code, name = "LMP404", "endless-pin"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        if any(limit.name == "pinned" for limit in s.policy.limits):
            return
        priced = {id(arm.action) for arm in s.every(nodes.Arm)}
        for action in s.every(nodes.Action):
            for link in held_for_good(action):
                if id(action) not in priced:
                    help = "write `preserve for 30s`, or add `limit pinned <= 50%`"
                    yield self.finding("this holds memory for as long as the call lasts", link.span, help=help)


RULE = EndlessPin
