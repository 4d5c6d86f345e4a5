"""LMP601: a param that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.unused import removal, used


class UnusedParam(Rule):
    """A param that no rule and no let reads.

    ## Why

    Somebody will turn it and wait for something to happen.

    ## Avoid

    ```lamps
    param patience = 1min in 1s..1h       # a request that waited this long goes first
    rank request.arrival
    ```

    ## Prefer

    ```lamps
    param patience = 1min in 1s..1h       # a request that waited this long goes first
    rank predict.output, request.arrival
    promote when request.waited >= patience
    ```
    """

    code, name = "LMP601", "unused-param"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for statement in s.every(nodes.ParamStatement):
            if not used(s, statement):
                fix, help = removal(s, statement), "use it or remove it"
                yield self.finding("nothing reads this param", statement.name.span, "", help, (), fix)


RULE = UnusedParam
