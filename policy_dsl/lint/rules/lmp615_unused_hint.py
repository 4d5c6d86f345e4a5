"""LMP615: a hint that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below, whole_lines


class UnusedHint(Rule):
    """A hint that clients may send and no rule reads.

    ## Why

    Clients are told of it, send it, and nothing changes.

    ## Avoid

    ```lamps
    hint critical = 0 in 0..10            # how near to the end of its plan
    rank request.arrival
    ```

    ## Prefer

    ```lamps
    hint critical = 0 in 0..10            # how near to the end of its plan
    rank highest hint.critical, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP615", "unused-hint"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        read = {p.path for p in s.every(nodes.Path)}
        for hint in s.every(nodes.HintStatement):
            path = f"hint.{hint.name.name}"
            if path not in read:
                fix = None if _tested(s, path) else Fix("remove the hint", (whole_lines(hint.span),))
                help = f"read `{path}` in a rule, or remove it"
                yield self.finding("no rule reads this hint", hint.name.span, "", help, (), fix)


def _tested(s: Subject, path: str) -> bool:
    tests = (t for t in s.statements if isinstance(t, nodes.TestStatement))
    return any(isinstance(n, nodes.Ident) and n.name == path for t in tests for n in below(t))


RULE = UnusedHint
