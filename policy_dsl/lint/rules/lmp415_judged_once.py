"""LMP415: memory kept by a price that is never asked again."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.actions import held_for_good
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class JudgedOnce(Rule):
    """`preserve` without `for` in `least`, in a policy that neither looks again nor limits what is pinned.

    ## Why

    The price is that of a call as it was foreseen when it began. A session that never comes back looks
    like one that does: where keeping was the cheapest, its memory is held until the cap of ten minutes,
    and a few of them take the others' (measured in docs/decisions/022-what-never-comes-back.md). Asked
    again, keeping becomes dearer the longer the call lasts.

    ## Avoid

    ```lamps
    on call least {
      preserve: call.duration * call.context
      discard:  prefill_time(call.context) * engine.running_tokens
    }
    ```

    ## Prefer

    ```lamps
    on call least {
      preserve: call.duration * call.context
      discard:  prefill_time(call.context) * engine.running_tokens
    }
    while paused every 1s again
    ```
    """

    code, name = "LMP415", "judged-once"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        if s.policy.paused is not None or any(limit.name == "pinned" for limit in s.policy.limits):
            return
        for arm in s.every(nodes.Arm):
            for link in held_for_good(arm.action):
                help = "add `while paused every 1s again`, write `preserve for 30s`, or add `limit pinned <= 50%`"
                message = "what this costs is asked when the call begins, and never again"
                yield self.finding(message, link.span, help=help)


RULE = JudgedOnce
