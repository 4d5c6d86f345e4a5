"""LMP413: `while paused` that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.codegen.lower import keys_read
from policy_dsl.codegen.scalar import decision_roots
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.actions import LONGEST_HOLD_S
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.types import Handling, quantity
from policy_dsl.units import SECOND


class IdleWhilePaused(Rule):
    """`while paused` that can change nothing about a session.

    Because `on call` always discards, and what was discarded can't be had back; because all it says is `again` and
    `on call` reads nothing that could have changed; or because it first asks when the adapter has long given the
    memory up (after ten minutes).

    ## Why

    The reader believes that a decision is looked at again during the call.

    ## Avoid

    ```lamps
    on call preserve for 30s
    while paused every 1s again
    ```

    ## Prefer

    ```lamps
    on call preserve for 30s
    while paused every 1s if call.elapsed > 5s { swap } else { again }
    ```
    """

    code, name = "LMP413", "idle-while-paused"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        written, paused = s.first(nodes.PausedStatement), s.policy.paused
        if written is None or paused is None:
            return
        on_call = s.first(nodes.OnCallStatement)
        labels = () if on_call is None else (Label(on_call.span, "this is what is asked again"),)
        if set(_handlings(s.policy.on_call)) == {Handling.DISCARD}:
            message = "this changes nothing: `on call` always discards"
            yield self.finding(message, written.span, help="remove it")
        elif isinstance(paused.decision, ir.Again) and _fixed(s.policy.on_call):
            message = "this changes nothing: `on call` answers the same at all times"
            yield self.finding(message, written.decision.span, "", "say what is to become of it", labels)
        elif paused.every.type == quantity(SECOND) and s.ranges.numbers(paused.every).low >= LONGEST_HOLD_S:
            help = "ask more often: memory is held for ten minutes at most"
            yield self.finding("this is never asked", written.every.span, "at least 10 minutes", help)


def _handlings(decision: ir.Decision) -> Iterator[Handling]:
    match decision:
        case ir.Act(holds=holds):
            yield from (hold.handling for hold in holds)
        case ir.Choose(then=then, other=other):
            yield from _handlings(then)
            yield from _handlings(other)
        case ir.Pick(arms=arms):
            for arm in arms:
                yield from _handlings(arm.act)


def _fixed(decision: ir.Decision) -> bool:
    """Whether it is one action that nothing but the params decides."""
    return isinstance(decision, ir.Act) and len(decision.holds) == 1 and not keys_read(decision_roots(decision))


RULE = IdleWhilePaused
