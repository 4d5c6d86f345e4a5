"""LMP306: a bound on overtaking that nobody lives to see."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.analysis.starvation import duration
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject

LATE_S = 7200.0


class LateBound(Rule):
    """The bound on overtaking is proved, but it is longer than two hours.

    ## Why

    The proof counts on the largest sizes that signals can have. Where a rank is divided by the
    wait, a request of ten million tokens needs days to come before one of a millisecond. A bound on
    the size, or a promotion, makes the promise one that clients can use.

    ## Avoid

    ```lamps
    rank max(decode_time(predict.output), 1ms) / (1 + request.age / 50s) ^ 3
    ```

    ## Prefer

    ```lamps
    rank max(decode_time(predict.output), 1ms) / (1 + request.age / 50s) ^ 3
    promote when request.waited >= 10min
    ```
    """

    code, name, severity = "LMP306", "late-bound", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        verdict = s.overtaking
        if verdict.unit != "s" or verdict.t is None or verdict.t <= LATE_S:
            return
        statement = s.first(nodes.PromoteStatement) if verdict.word == "guard" else s.first(nodes.RankStatement)
        span = s.title if statement is None else statement.span
        help = "clamp the size in the rank, or add `promote when request.waited >= 10min`"
        message = f"a request may be overtaken for {duration(verdict.t)}"
        yield self.finding(message, span, help=help)


RULE = LateBound
