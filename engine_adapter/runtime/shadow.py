"""A policy that is asked beside the one in force, without effect: where it would decide otherwise is counted.

What it costs is bounded: once a second it ranks at most 128 of the waiting requests, and of the calls it is asked
about at most 20 a second.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine_adapter.runtime.classes import as_classed_by
from engine_adapter.runtime.deciding import Deciding, Possible, as_decided_by
from engine_adapter.runtime.guard import Guard
from engine_adapter.runtime.rows import tabled
from engine_adapter.runtime.turn import Turn
from engine_adapter.runtime.watch import Watch
from policy_dsl.compiled import CompiledPolicy
from policy_dsl.verdict import Verdict

if TYPE_CHECKING:
    from engine_adapter.runtime.core import Runtime

logger = logging.getLogger("lamps")

# A sample of 128 of 1,000 takes 1.1 ms (benchmarks/guard.py), by which one step is delayed.
EVERY_S = 1.0
ROWS = 128
FIRST = 8
CALL_EVERY_S = 0.05


@dataclass(slots=True)
class Compared:
    """How often two policies were compared, and how often they differed."""

    compared: int = 0
    differing: int = 0

    def count(self, differs: bool) -> bool:
        """Count one comparison; returns whether the log should tell of it: at 1, 10, 100... differences."""
        self.compared += 1
        self.differing += differs
        return differs and str(self.differing).strip("0") == "1"


@dataclass(slots=True)
class Tally:
    rank: Compared = field(default_factory=Compared)
    on_call: Compared = field(default_factory=Compared)


def begin(policy: CompiledPolicy, runtime: Runtime) -> None:
    """*policy* is asked beside the one in force, instead of another that was."""
    runtime.shadow = shadow = Shadow(policy, runtime)
    runtime.watch.beside = shadow.judged


def end(runtime: Runtime) -> None:
    """No policy is asked beside the one in force."""
    runtime.shadow = runtime.watch.beside = None


class Shadow:
    """Of one engine. A shadow that keeps failing is dropped."""

    def __init__(self, policy: CompiledPolicy, runtime: Runtime) -> None:
        self.policy = policy
        self.tally = Tally()
        self._runtime = runtime
        self._guard = Guard(timed=False)
        self._guard.begin(policy.budget)
        self._deciding = Deciding(
            policy, runtime.engine, runtime.engine_now, lambda: runtime.step, Counter(), Watch(), self._guard
        )
        self._rank_at = self._call_at = runtime.engine.clock()

    def document(self) -> dict[str, Any]:
        """In the words of `control.frames.Shadow`."""
        rank, on_call = self.tally.rank, self.tally.on_call
        return {
            "name": self.policy.name,
            "revision": self.policy.revision,
            "compared": rank.compared + on_call.compared,
            "differing": rank.differing + on_call.differing,
            "rank": {"compared": rank.compared, "differing": rank.differing},
            "on_call": {"compared": on_call.compared, "differing": on_call.differing},
            "failures": sum(self._guard.failures.values()),
        }

    def new_step(self) -> None:
        """A step begins: now and then the first of the queue are compared."""
        if self._guard.tripped:
            logger.warning("lamps: shadow %s is dropped: %s", self.policy.name, self._guard.tripped)
            end(self._runtime)
            return
        now = self._runtime.engine.clock()
        if now >= self._rank_at and len(self._runtime.table) > 1:
            self._rank_at = now + EVERY_S
            self._compare_ranks(now)

    def _compare_ranks(self, now: float) -> None:
        runtime = self._runtime
        order = runtime.first(len(runtime.table))
        runtime.waiting.turns()  # the promoted of now are promoted in both
        # The first, and of the rest every so many.
        sample = order[:FIRST] + order[FIRST :: max(len(order) // (ROWS - FIRST), 1)][: ROWS - FIRST]
        self._guard.asked("rank")
        try:
            turns = [runtime.turns[name] for name in sample]
            with as_classed_by(self.policy, turns, now), as_decided_by(self._deciding, turns):
                table = tabled(self.policy, turns, now, runtime.step)
                mine = table.first(FIRST, runtime.engine_now(), now, runtime.step)
        except Exception as problem:
            self._guard.failed("rank", f"raised {type(problem).__name__}: {problem}")
            return
        if table.nan_rows:
            self._guard.failed("rank", "gave no number", table.nan_rows / len(sample))
        self._tell(self.tally.rank, mine != order[:FIRST], f"first {mine[0]}, not {order[0]}", request=mine[0])

    def judged(self, turn: Turn, verdict: Verdict) -> None:
        """The policy in force has decided about the call of *turn*."""
        now = self._runtime.engine.clock()
        if now < self._call_at:
            return
        self._call_at = now + CALL_EVERY_S
        facts = self._runtime.engine.facts
        assert turn.call is not None
        can = Possible(facts.can_preserve and not turn.call.held_by, facts.can_swap)
        self._guard.asked("on call")
        try:
            with as_classed_by(self.policy, [turn], now):
                mine = self._deciding.answer_now(turn, can).holds[0][0]
        except Exception as problem:
            self._guard.failed("on call", f"raised {type(problem).__name__}: {problem}")
            return
        chosen = verdict.holds[0][0]
        what = f"{mine.word}, not {chosen.word}"
        self._tell(self.tally.on_call, mine is not chosen, what, request=turn.id, session=turn.session.key)

    def _tell(self, of: Compared, differs: bool, what: str, **who: str) -> None:
        loud = of.count(differs)
        if differs:
            self._runtime.watch.journal.note(self._runtime.engine.clock(), "shadow", what, **who)
        if loud:
            logger.info(
                "lamps: shadow %s differs %d times of %d: %s", self.policy.name, of.differing, of.compared, what
            )
