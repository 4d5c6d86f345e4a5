"""Watches how a policy's rules fare, and says when one has failed too often for the policy to stay in force.

One failure costs one decision: the built-in answer stands in for it. A rule that fails again and again decides nothing
any more, so the guard trips; what follows is `in_force`'s. A rule fails when it raises, when its answer is not a number
or can't be, and when it takes much longer than its budget (its answer stands then: the time is lost already).
The two are told apart, as only the first has changed what was decided.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from time import thread_time

from policy_dsl.ir import Budget
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict

# The guard trips at so much failure among so many of the last askings of one rule. Sixteen: one odd request, or one
# pause of the machine, is none of it, and an engine of 10 ms steps is rid of a broken rank within half a second.
MOST_FAILURES = 16.0
ASKINGS = 32

# The budget of a policy that states none: what a step may spend on decisions (DESIGN.md), at so many waiting requests.
BUDGET_S, BUDGET_REQUESTS = 200e-6, 4096.0
# A rule overruns at so many times its budget: budgets are for an idle machine, and caches are cold on a busy one.
SLACK = 10.0

_CARRIED_OUT = frozenset({Handling.PRESERVE, Handling.SWAP, Handling.DISCARD})


class Guard:
    """Of one engine, for the policy in force. *timed*: whether deciding takes real time (not so in virtual time)."""

    def __init__(self, timed: bool) -> None:
        self.tripped = ""
        """Why the policy must not stay in force; "" while it may."""
        self.failures: Counter[str] = Counter()
        """Of the policy in force, by rule; built-in answers stood in."""
        self.overruns: Counter[str] = Counter()
        """Of the policy in force, by rule: how often one took much longer than its budget."""
        self._timed = timed
        self._budget_s, self._requests = BUDGET_S, BUDGET_REQUESTS
        self._askings: Counter[str] = Counter()
        self._last: dict[str, deque[tuple[int, float]]] = {}  # by rule: number of the asking, weight of its failure
        self._suspects: dict[str, int] = {}  # rules that were slow by the clock, until the asking of this number
        self._began: dict[str, float] = {}  # by suspect: the processor's time when it was asked

    def asks(self, rule: str) -> None:
        """*rule* is about to be asked."""
        if rule not in self._suspects:
            return
        if self._askings[rule] < self._suspects[rule]:
            self._began[rule] = thread_time()
        else:
            del self._suspects[rule]
            self._began.pop(rule, None)

    def begin(self, budget: Budget | None) -> None:
        """Another policy is in force: its account is clean."""
        self.tripped = ""
        self.failures.clear()
        self.overruns.clear()
        self._askings.clear()
        self._last.clear()
        self._suspects.clear()
        self._began.clear()
        stated = (BUDGET_S, BUDGET_REQUESTS) if budget is None else (budget.cost_s, budget.requests)
        self._budget_s, self._requests = stated

    def asked(self, rule: str, seconds: float = 0.0, waiting: int = 0) -> bool:
        """A rule was asked, which took so long, about so many waiting requests. Returns whether that was too long."""
        self._askings[rule] += 1
        if seconds > self._budget_s and self._timed and seconds > self.allowed_s(waiting):
            return self._took_long(rule, seconds, self.allowed_s(waiting))
        return False

    def _took_long(self, rule: str, seconds: float, allowed_s: float) -> bool:
        """Slow by the clock: an overrun where the processor was at it for as long, none where it did something else.

        On two cores with fifteen busy processes a ranking of 1,000 takes 91 us in the median and 40 ms at the 99 %
        quantile (benchmarks/guard.py): such a pause is no fault of the rule. The processor's time is read only of a
        rule that was slow by the clock a while ago, so that its first time passes: reading it is a system call, at
        which an engine that shares its core with the server in front of it may lose the core.
        """
        began = self._began.get(rule)
        self._suspects[rule] = self._askings[rule] + ASKINGS
        if began is None:
            return False
        took_s = min(thread_time() - began, seconds)
        if took_s <= allowed_s:
            return False
        self.overruns[rule] += 1
        self._against(rule, f"took {1000 * took_s:.1f} ms, {1000 * allowed_s:.1f} are the most", 1.0)
        return True

    def allowed_s(self, waiting: int) -> float:
        """The longest that a rule may take, with so many waiting requests."""
        return SLACK * self._budget_s * max(1.0, waiting / self._requests)

    def failed(self, rule: str, how: str, weight: float = 1.0) -> bool:
        """A rule failed: *how*, as in "raised KeyError". Returns whether it is its first failure under this policy.

        *weight*: the share of what it was asked for that it failed at.
        """
        self.failures[rule] += 1
        self._against(rule, how, weight)
        return self.failures[rule] == 1

    def _against(self, rule: str, how: str, weight: float) -> None:
        """What the guard trips by."""
        last = self._last.setdefault(rule, deque(maxlen=4 * ASKINGS))
        now = self._askings[rule]
        last.append((now, weight))
        while last[0][0] <= now - ASKINGS:
            last.popleft()
        failed = math.fsum(weight for _, weight in last)
        if failed >= MOST_FAILURES and not self.tripped:
            self.tripped = f"`{rule}` failed {len(last)} times in {min(now, ASKINGS)} askings; the last time it {how}"

    @property
    def sentence(self) -> str:
        """What has failed or taken too long under this policy; "" where nothing has."""
        said = []
        if self.failures:
            said.append(f"built-in answers stood in for {_times(self.failures)}")
        if self.overruns:
            said.append(f"longer than {SLACK:g} times the budget took {_times(self.overruns)}")
        return "; ".join(said)


def _times(counted: Counter[str]) -> str:
    """Each rule with how often: "`rank` 3 times, `yield` once"."""
    return ", ".join(f"`{rule}` {'once' if n == 1 else f'{n:,} times'}" for rule, n in sorted(counted.items()))


def impossible(verdict: Verdict) -> str:
    """What is wrong with an answer about a call, that nobody could carry out; "" where nothing is."""
    if not verdict.holds:
        return "named no handling"
    for handling, lasts_s in verdict.holds:
        if handling not in _CARRIED_OUT:
            return f"named the handling {handling!r}"
        if lasts_s is not None and not lasts_s >= 0.0:
            return f"named a handling for {lasts_s} s"
    return ""


def undecided(verdict: Verdict) -> bool:
    """Whether an answer by `least` had no number to go by: none of the costs that it could choose from is one."""
    allowed = [cost for _, cost, allowed in verdict.costs if allowed]
    return bool(allowed) and all(map(math.isnan, allowed))
