"""LMP223: min or max of a prediction's mean."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class MeanOfAMinimum(Rule):
    """`min(PREDICTION, x)`: the minimum of the mean, where the mean of the minimum is meant.

    ## Why

    A prediction read plainly is its mean. Calls of 1 s and of 99 s, equally likely, have a mean of
    50 s: `min(call.duration, 30s)` is 30 s, but a pin of at most 30 s is held for 15.5 s on average.
    `capped(call.duration, 30s)` is that mean.

    ## Avoid

    ```lamps
    rank min(call.duration, 30s) * call.context, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank capped(call.duration, 30s) * call.context, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP223", "mean-of-a-minimum"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Apply):
            if e.function.name != "min" or len(e.args) != 2:
                continue
            for side, other in (e.args, e.args[::-1]):
                if isinstance(side, nodes.Path) and side.path in SIGNALS and SIGNALS[side.path].distribution:
                    help = f"write `capped({side.path}, {text(other.span)})`"
                    message = "this is the minimum of a mean, not the mean of the minimum"
                    yield self.finding(message, e.span, f"`{side.path}` is read as its mean", help)


RULE = MeanOfAMinimum
