"""LMP407: an arm or branch that is never taken."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.analysis.intervals import Interval
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.types import Handling


class IdleArm(Rule):
    """An arm of `least` that can never be the cheapest, or a branch whose condition never holds.

    ## Why

    It is a rule that cannot fire: a price of the wrong sign, a condition past the range of its
    signal, or what is left of an earlier version.

    ## Avoid

    ```lamps
    on call least {
      discard: 0tok
      preserve for 10s: call.context
    }
    ```

    ## Prefer

    ```lamps
    on call least {
      discard: call.response
      preserve for 10s: call.context
    }
    ```
    """

    code, name = "LMP407", "idle-arm"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for least in s.every(nodes.LeastOf):
            costs = [self._cost(s, arm) for arm in least.arms]
            for i, (arm, cost) in enumerate(zip(least.arms, costs, strict=True)):
                if cost is None:
                    continue
                for j, other in enumerate(costs):
                    sure = least.arms[j].when is None and _always(least.arms[j])
                    if other is None or other.nan or not sure or i == j:
                        continue
                    if other.high < cost.low or (j < i and other.high == cost.low):
                        yield self.finding("this is never the cheapest", arm.cost.span, _costs(cost, other))
                        break

    def _cost(self, s: Subject, arm: nodes.Arm) -> Interval | None:
        found = [s.ranges.of(n) for n in s.at(arm.cost) if s.ranges.reached(n)] or _constant(arm.cost)
        return found[0] if found and isinstance(found[0], Interval) else None


def _constant(e: nodes.Expr) -> list[Interval]:
    return [Interval(e.value, e.value)] if isinstance(e, nodes.Number) else []


def _always(arm: nodes.Arm) -> bool:
    """Whether nothing outside the policy can forbid it: discarding is always possible."""
    return arm.action.links[0].handling is Handling.DISCARD


def _costs(mine: Interval, other: Interval) -> str:
    return f"at least {mine.low:g}, and another costs at most {other.high:g}"


RULE = IdleArm
