"""LMP409: a limit that refuses everything."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.limits import limits
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class LimitOfNothing(Rule):
    """A limit of 0 or less: all that it limits is refused, always.

    ## Why

    Actions over a limit are not considered, so every `preserve` of the policy is dead. If nothing
    should be held, write that: `on call discard`.

    ## Avoid

    ```lamps
    on call preserve for 10s
    limit pinned <= 0%
    ```

    ## Prefer

    ```lamps
    on call preserve for 10s
    limit pinned <= 20%
    ```
    """

    code, name = "LMP409", "limit-of-nothing"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for statement, bound, _ in limits(s):
            if bound.high <= 0:
                name = statement.name.name
                help = f"allow something, or take what `{name}` counts out of the policy"
                yield self.finding(f"this allows no `{name}` at all", statement.bound.span, help=help)


RULE = LimitOfNothing
