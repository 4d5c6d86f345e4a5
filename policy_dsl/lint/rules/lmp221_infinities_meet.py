"""LMP221: infinity minus infinity."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.analysis.ranges import Hazard
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class InfinitiesMeet(Rule):
    """A sum or difference in which infinity can meet infinity, which gives NaN.

    ## Why

    NaN ranks after every number, makes each comparison false, and takes an arm of `least` out of
    the choice. The request loses its place without a word. Signals are finite; infinity comes from
    a division by 0, a logarithm of 0, or a literal bound. Mend it there.

    ## Avoid

    ```lamps
    let pressure = log(request.cached / 1tok) - log(request.generated / 1tok)
    rank pressure, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    let pressure = log(max(request.cached / 1tok, 1)) - log(max(request.generated / 1tok, 1))
    rank pressure, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP221", "infinities-meet"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        hazards = s.ranges.hazards
        for e in s.every(nodes.Infix):
            for node in s.made(e, ir.Binary):
                if Hazard.INFINITIES in hazards.get(node, ()):
                    sign = "inf - inf" if e.op == "-" else "inf + -inf"
                    help = f"keep each side finite, as with `clamp({text(e.left.span)}, ..., ...)`"
                    yield self.finding(f"this can be {sign}, which is no number", e.span, help=help)


RULE = InfinitiesMeet
