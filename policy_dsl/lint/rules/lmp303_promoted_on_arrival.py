"""LMP303: a promotion that everybody has from the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy_dsl import nodes
from policy_dsl.analysis.intervals import Interval
from policy_dsl.analysis.ranges import ranges_of
from policy_dsl.analysis.signals import assuming, plausible
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_ZERO = Interval(0.0, 0.0)
_ARRIVING: Mapping[str, Interval] = dict.fromkeys(
    (
        "request.age", "request.waited", "request.waited_steps", "request.preemptions", "request.generated",
        "session.age", "session.waited", "session.service",
    ),
    _ZERO,
) | {"session.turn": Interval(1.0, 1.0)}  # fmt: skip


class PromotedOnArrival(Rule):
    """`promote` holds for a new session in the moment it arrives.

    ## Why

    Promoted requests go first, in order of arrival: if all of them are, `rank` is never asked.
    Usually a bound that grows with what a session has got is 0 for one that has got nothing.

    ## Avoid

    ```lamps
    rank session.service, request.arrival
    promote when session.waited >= 10 * session.service
    ```

    ## Prefer

    ```lamps
    rank session.service, request.arrival
    promote when session.waited >= 10 * max(session.service, 1s)
    ```
    """

    code, name = "LMP303", "promoted-on-arrival"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement, promote = s.first(nodes.PromoteStatement), s.policy.promote
        if statement is None or promote is None or s.ranges.truth(promote.when).always:
            return
        if ranges_of(s.policy, assuming(plausible, _ARRIVING)).truth(promote.when).always:
            help = "give the bound a floor: `max(..., 1s)`"
            yield self.finding("a new session is promoted in the moment it arrives", statement.when.span, help=help)


RULE = PromotedOnArrival
