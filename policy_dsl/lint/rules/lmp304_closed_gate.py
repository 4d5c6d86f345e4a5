"""LMP304: a gate that can be shut on an empty engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy_dsl import nodes
from policy_dsl.analysis.intervals import Interval
from policy_dsl.analysis.ranges import ranges_of
from policy_dsl.analysis.signals import LARGEST_REQUEST_TOK, assuming, plausible
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_ZERO = Interval(0.0, 0.0)
# Nothing runs and nothing is held; the largest request just fits.
_FITS = Interval(LARGEST_REQUEST_TOK, LARGEST_REQUEST_TOK)
_EMPTY: Mapping[str, Interval] = dict.fromkeys(
    (
        "engine.running", "engine.running_tokens", "engine.paused", "engine.pinned_tokens", "engine.seated_tokens",
        "engine.held_tokens", "engine.live_tokens", "engine.query_tokens", "tenant.running",
    ),
    _ZERO,
) | dict.fromkeys(("engine.kv_free", "engine.kv_total"), _FITS)  # fmt: skip


class ClosedGate(Rule):
    """`admit` can refuse a request that fits, on an engine where nothing runs and nothing is held.

    ## Why

    Waiting changes nothing about such a request: it is refused until the engine happens to be empty
    again, when it is admitted whatever `admit` says. Under load that never happens, and a promoted
    request that is refused holds up all others. A gate should ask for room that can become free.

    ## Avoid

    ```lamps
    admit when request.context <= engine.kv_free / 2
    ```

    ## Prefer

    ```lamps
    admit when request.context <= engine.kv_free
    ```
    """

    code, name = "LMP304", "closed-gate"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement, admit = s.first(nodes.AdmitStatement), s.policy.admit
        if statement is None or admit is None or s.ranges.truth(admit).never:
            return
        if ranges_of(s.policy, assuming(plausible, _EMPTY)).truth(admit).can_fail:
            message = "this can refuse a request that fits, on an empty engine"
            help = "add `or engine.running == 0`, or ask for memory that can become free"
            yield self.finding(message, statement.when.span, help=help)


RULE = ClosedGate
