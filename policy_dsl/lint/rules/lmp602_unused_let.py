"""LMP602: a let that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.unused import removal, used


class UnusedLet(Rule):
    """A value that no rule and no other let reads. Tests don't count: they test what the rules use.

    ## Why

    It is computed by nobody and believed by the reader. Usually the rule that should read it
    spells the formula out again.

    ## Avoid

    ```lamps
    let size = request.context + predict.output
    rank request.arrival
    ```

    ## Prefer

    ```lamps
    let size = request.context + predict.output
    rank size, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP602", "unused-let"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for statement in s.every(nodes.LetStatement):
            if not statement.args and not used(s, statement):
                fix, help = removal(s, statement), "use it or remove it"
                yield self.finding("nothing reads this value", statement.name.span, "", help, (), fix)


RULE = UnusedLet
