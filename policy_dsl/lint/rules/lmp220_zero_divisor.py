"""LMP220: a divisor that can be 0."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.analysis.ranges import Hazard
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text
from policy_dsl.units import NUMBER, SUFFIXES


class ZeroDivisor(Rule):
    """A division whose divisor can be 0, by the ranges of the signals and params in it.

    ## Why

    Nothing fails: `x / 0` is infinite and `0 / 0` is NaN, which ranks after all numbers. But a
    request with nothing cached, or an engine with nothing free, then jumps to one end of the queue,
    which is rarely what the formula was meant to say.

    ## Avoid

    ```lamps
    rank request.context / engine.running_tokens, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank request.context / max(engine.running_tokens, 1tok), request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP220", "zero-divisor"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        hazards = s.ranges.hazards
        for e in s.every(nodes.Infix):
            for node in s.made(e, ir.Binary):
                if Hazard.ZERO_DIVISOR not in hazards.get(node, ()) or isinstance(node.right, ir.Param):
                    continue
                found = s.ranges.numbers(node.right)
                if found.low == found.high:
                    yield self.finding("this divides by 0", e.right.span, help="nothing finite comes of it")
                    continue
                help = f"write `/ max({text(e.right.span)}, {one(node.right)})`" if found.low >= 0 else ""
                yield self.finding("this divisor can be 0", e.right.span, help=help or "test for 0 first: `if X != 0`")


def one(node: ir.Node) -> str:
    """The smallest sensible literal of the unit of *node*."""
    if node.type.dim == NUMBER:
        return "1"
    for suffix in ("tok", "blk", "B", "ms", "step"):
        if SUFFIXES[suffix][0] == node.type.dim:
            return f"1{suffix}"
    return "..."


RULE = ZeroDivisor
