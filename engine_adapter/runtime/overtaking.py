"""Whether a policy lets requests starve: the watchdog had to promote them, and others that came later have started.

A long wait alone is no fault of a policy: in overload everybody waits. One that is overtaken for as long as the
watchdog waits is what the language's proofs exclude, unless the policy waives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from engine_adapter.runtime.guard import Guard
from engine_adapter.runtime.turn import Turn
from policy_dsl.compiled import CompiledPolicy

# What the guard calls it. It trips, as for a rule, at sixteen of them in 32 looks, which are a second apart.
RULE = "starvation bound"
_WAIVERS = frozenset({"unbounded-wait", "LMP301"})


class OrderKept:
    """Of one policy, from when it decides."""

    def __init__(self, policy: CompiledPolicy, guard: Guard) -> None:
        self._policy, self._guard = policy, guard
        self._latest = -math.inf  # arrival, of those that have started

    def started(self, turn: Turn) -> None:
        """The turn runs."""
        self._latest = max(self._latest, turn.arrival)

    def look(self, forgotten: Sequence[Turn]) -> None:
        """The watchdog has looked, and promoted *forgotten*."""
        self._guard.asked(RULE)
        for turn in forgotten:
            if turn.arrival < self._latest and not self._waived:
                self._guard.failed(RULE, f"left {turn.id} waiting behind later ones until the watchdog promoted it")

    @cached_property
    def _waived(self) -> bool:
        """Whether the author allows it, with a reason, in the policy's file."""
        from policy_dsl.lint.suppress import suppressions

        allowed = suppressions(self._policy.source, ())
        return any(_WAIVERS.intersection(found.rules) for found in allowed if found.verb == "allow" and found.reason)
