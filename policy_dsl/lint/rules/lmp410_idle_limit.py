"""LMP410: a limit that refuses nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic, Fix
from policy_dsl.lint.limits import limits
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import whole_lines


class IdleLimit(Rule):
    """A limit of 100 % or more of what there is.

    ## Why

    It can never be reached. A missing `%` makes `50` fifty times all there is.

    ## Avoid

    ```lamps
    on call preserve for 10s
    limit pinned <= 50
    ```

    ## Prefer

    ```lamps
    on call preserve for 10s
    limit pinned <= 50%
    ```
    """

    code, name = "LMP410", "idle-limit"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for statement, bound, share in limits(s):
            if share and bound.low >= 1:
                percent = 1 < bound.low <= 100
                help = f"write `{bound.low:g}%`" if percent else "remove it"
                fix = None if percent else Fix("remove the limit", (whole_lines(statement.span),))
                message = f"this is {bound.low * 100:g}% of all there is, and never reached"
                yield self.finding(message, statement.bound.span, "", help, (), fix)


RULE = IdleLimit
