"""LMP226: a param whose range holds a 0 that it is divided by."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.analysis.ranges import Hazard
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class ZeroParam(Rule):
    """A param that something is divided by, and whose range admits 0.

    ## Why

    Params are turned by people in a hurry. A range is the promise that every value in it makes a
    sensible policy; one that holds 0 lets a single setting make every rank infinite.

    ## Avoid

    ```lamps
    param theta = 50s in 0s..1h           # how fast waiting counts
    rank request.context / (request.waited / theta + 1)
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    param theta = 50s in 1s..1h           # how fast waiting counts
    rank request.context / (request.waited / theta + 1)
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP226", "zero-param"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        params = {p.name: p for p in s.policy.params}
        for e in s.every(nodes.Infix):
            for node in s.made(e, ir.Binary):
                if Hazard.ZERO_DIVISOR in s.ranges.hazards.get(node, ()) and isinstance(node.right, ir.Param):
                    name = node.right.name
                    label = (Label(params[name].span, "its range holds 0"),)
                    help = f"let the range of `{name}` begin above 0"
                    yield self.finding(f"`{name}` can be set to 0", e.right.span, "divided by it here", help, label)


RULE = ZeroParam
