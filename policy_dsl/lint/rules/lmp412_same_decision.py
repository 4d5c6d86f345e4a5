"""LMP412: a choice between the same."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class SameDecision(Rule):
    """`if` or `match` whose branches all say the same.

    ## Why

    One of them was copied and not changed, or the condition outlived its use.

    ## Avoid

    ```lamps
    on call if call.duration.p90 <= 5s and call.duration.known { discard } else { discard }
    ```

    ## Prefer

    ```lamps
    on call if call.duration.p90 <= 5s and call.duration.known { preserve for 9s } else { discard }
    ```
    """

    code, name = "LMP412", "same-decision"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Syntax):
            match e:
                case nodes.Cond(then=then, other=other) | nodes.DecideIf(then=then, other=other):
                    sides = [then, other]
                case nodes.Match(cases=cases) | nodes.DecideMatch(cases=cases):
                    sides = [case.value for case in cases]
                case _:
                    continue
            if len({text(side.span) for side in sides}) == 1 and len(sides) > 1:
                help = f"write `{text(sides[0].span)}`"
                yield self.finding("all branches say the same", e.span, help=help)


RULE = SameDecision
