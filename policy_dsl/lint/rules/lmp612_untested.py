"""LMP612: a policy without tests."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject


class Untested(Rule):
    """A policy with a `rank`, `on call` or `promote` of its own and no `test`.

    ## Why

    A sign the wrong way round checks, compiles and runs. Two requests and the order you expect of
    them take three lines.

    ## Avoid

    ```lamps
    lamps 1
    policy short "The shortest answer first."
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    lamps 1
    policy short "The shortest answer first."
    rank predict.output, request.arrival
    promote when request.waited >= 1min

    test "short goes first" {
      request brief { predict.output: 10tok }
      request long  { predict.output: 500tok }
      expect rank brief, long
    }
    ```
    """

    code, name, severity = "LMP612", "untested", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        ruled = any(
            isinstance(x, nodes.RankStatement | nodes.OnCallStatement | nodes.PromoteStatement) for x in s.rules
        )
        if ruled and s.first(nodes.TestStatement) is None:
            yield self.finding("this policy has no test", s.title, help='add `test "..." { ... }`')


RULE = Untested
