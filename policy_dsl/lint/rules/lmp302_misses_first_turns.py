"""LMP302: a promotion that first turns never get."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.analysis.intervals import Interval
from policy_dsl.analysis.ranges import ranges_of
from policy_dsl.analysis.signals import Values, assuming, plausible
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_FRESH: dict[str, Values] = {
    "session.turn": Interval(1.0, 1.0),
    "request.preemptions": Interval(0.0, 0.0),
    "session.service": Interval(0.0, 0.0),
    "request.generated": Interval(0.0, 0.0),
}


class MissesFirstTurns(Rule):
    """`promote` can never hold for the first turn of a session that has not run yet.

    ## Why

    Promotion is what keeps a request from waiting for ever. If it needs an earlier turn or a
    preemption, sessions that were never started have no guard: new ones starve while old ones are
    promoted past them. (The published code of one agent scheduler has this bug.)

    ## Avoid

    ```lamps
    rank request.arrival + decode_time(predict.output)
    # lamps: allow unbounded-wait -- to show the other finding
    promote when request.waited >= 1min and session.turn > 1
    ```

    ## Prefer

    ```lamps
    rank request.arrival + decode_time(predict.output)
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP302", "misses-first-turns"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement, promote = s.first(nodes.PromoteStatement), s.policy.promote
        if statement is None or promote is None or s.ranges.truth(promote.when).never:
            return
        if ranges_of(s.policy, assuming(plausible, _FRESH)).truth(promote.when).never:
            help = "let the wait alone be enough: `promote when request.waited >= 1min`"
            message = "this never promotes the first turn of a session"
            yield self.finding(message, statement.when.span, "needs a turn > 1, or a preemption", help)


RULE = MissesFirstTurns
