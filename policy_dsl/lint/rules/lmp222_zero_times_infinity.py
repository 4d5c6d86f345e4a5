"""LMP222: zero times infinity."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.analysis.ranges import Hazard
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class ZeroTimesInfinity(Rule):
    """A product in which 0 can meet infinity, which gives NaN.

    ## Why

    As with `inf - inf`: the request ranks after all numbers, or the arm is not considered. The
    infinite side has usually just been divided by 0, or is the exponential of something large.

    ## Avoid

    ```lamps
    rank request.uncached * exp(request.waited / 1s)
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank request.uncached * exp(min(request.waited / 1s, 100))
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP222", "zero-times-infinity"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        hazards = s.ranges.hazards
        for e in s.every(nodes.Infix):
            for node in s.made(e, ir.Binary):
                if Hazard.ZERO_TIMES_INFINITY in hazards.get(node, ()):
                    high = s.ranges.numbers(node.left)
                    endless = e.left if high.high == float("inf") or high.low == float("-inf") else e.right
                    help = "bound it: `min(..., LARGEST)`"
                    text = "this can be infinite"
                    yield self.finding("this can be 0 * inf, which is no number", endless.span, text, help)


RULE = ZeroTimesInfinity
