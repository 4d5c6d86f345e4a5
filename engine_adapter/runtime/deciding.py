"""Asks the policy about calls: what happens to a session's KV, again while the call runs, and who gives way.

Nothing here raises: a rule that fails costs that decision only, is counted, and the built-in answer stands (discard;
what is in force stays in force; the longest expected wait gives way).
"""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from engine_adapter.runtime.engine import Engine
from engine_adapter.runtime.guard import Guard, impossible, undecided
from engine_adapter.runtime.turn import Turn, Value, reader_of
from engine_adapter.runtime.watch import Watch
from policy_dsl.compiled import CompiledPolicy, Verdict
from policy_dsl.types import Handling

logger = logging.getLogger("lamps")

Snapshot = Mapping[str, float | bool]
# What `on call` reads of the engine where it may answer something else than discard.
_GRANTS = ("allow.preserve", "allow.swap")
# Signals of the engine that never change.
_LASTING = frozenset(("engine.kv_total", "engine.block_size", "engine.token_bytes", "engine.chunk"))
DISCARD = Verdict(holds=((Handling.DISCARD, None),), costs=(), line=0)


@dataclass(frozen=True, slots=True)
class Possible:
    """Which handlings can be carried out for one session now. *held_by*: what keeps it from being preserved, or ""."""

    preserve: bool
    swap: bool
    held_by: str = ""


class Deciding:
    """The rules of one policy about calls. *engine_now*: the snapshot that decisions read; *step*: the present one."""

    def __init__(
        self,
        policy: CompiledPolicy,
        engine: Engine,
        engine_now: Callable[[], Snapshot],
        step: Callable[[], int],
        counters: Counter[str],
        watch: Watch,
        guard: Guard,
    ) -> None:
        self.watch = watch
        self.guard = guard
        self._engine = engine
        self._engine_now = engine_now
        self._step = step
        self._counters = counters
        self._granted_of: Snapshot | None = None
        self._granted: dict[tuple[bool, bool], Snapshot] = {}
        self.adopt(policy)

    def adopt(self, policy: CompiledPolicy, turns: Iterable[Turn] = ()) -> None:
        """*policy* is asked from now on; what another has foreseen of *turns* is foreseen anew."""
        self.policy = policy
        self.limits_stand = policy.limit_keys <= _LASTING
        """Whether no bound of a limit changes while the policy is active."""
        self._read_call = reader_of(policy.call_keys, policy.scalar.hint)
        self._read_paused = reader_of(policy.paused_keys, policy.scalar.hint)
        self._read_row = reader_of(policy.row_keys, policy.scalar.hint)
        for turn in turns:
            turn.foreseen = turn.decided = None
            self.foresee(turn)

    def step(self) -> int:
        """The number of the present step."""
        return self._step()

    def begins(self, rule: str) -> float:
        """A rule is about to be asked: the instant, of `perf_counter`."""
        self.guard.asks(rule)
        return perf_counter()

    def asked(self, rule: str, began: float, waiting: int = 0) -> None:
        """A rule was asked, about so many waiting requests, from the instant *began* of `perf_counter` until now."""
        if self.guard.asked(rule, self.watch.journal.asked(rule, began), waiting):
            self._counters[f"overruns.{rule}"] += 1

    def no_number(self, rule: str, share: float = 1.0, times: int = 1) -> None:
        """A rule gave what is not a number, for a *share* of the requests that it was asked about."""
        self._counters[f"faults.{rule}"] += times
        self.guard.failed(rule, "gave no number", share)

    def count(self, what: str, more: int = 1) -> None:
        """Something has happened that is counted."""
        self._counters[what] += more

    def foresee(self, turn: Turn) -> None:
        """A turn arrives: where the policy says `on call at arrival`, its call is decided now."""
        if self.policy.on_call_at_arrival:
            turn.foreseen, turn.decided = self._on_call(turn, self._engine_read())

    def on_call(self, turn: Turn, possible: Callable[[], Possible]) -> Verdict:
        """What happens to the KV of a turn that has ended in a call; decided at arrival where the policy says so."""
        assert turn.call is not None
        if self.policy.call_engine_keys.isdisjoint(_GRANTS):
            verdict, turn.call.decided = self._on_call(turn, self._engine_read())
            return verdict
        can = possible()
        turn.call.held_by = can.held_by
        if turn.foreseen is not None:
            turn.call.decided = turn.decided
            return turn.foreseen
        engine = {**self._engine_now(), "allow.preserve": can.preserve}
        verdict, turn.call.decided = self._on_call(turn, engine)
        # Whether a later part (`preserve for 30s then swap`) has room is seen when its time has come.
        if verdict.holds[0][0] is Handling.SWAP and not can.swap:
            verdict, turn.call.decided = self._on_call(turn, {**engine, "allow.swap": False})
        return verdict

    def _engine_read(self) -> Snapshot:
        """The snapshot, where `on call` reads it: one is made for those who ask."""
        return self._engine_now() if self.policy.call_engine_keys else {}

    def _on_call(self, turn: Turn, engine: Snapshot) -> tuple[Verdict, Mapping[str, Value] | None]:
        """The answer, and the values it was made from; None where the rule failed."""
        began = self.begins("on call")
        try:
            row = self._read_call(turn, self._engine.clock(), self._step())
            verdict = self.policy.scalar.on_call(row, engine)
        except Exception:
            self.raised("on call", began)
            return DISCARD, None
        self.asked("on call", began)
        if not self._stands("on call", verdict):
            return DISCARD, None
        return verdict, {**row, **{key: engine[key] for key in self.policy.call_engine_keys}}

    def foreseen(self, turn: Turn) -> Handling:
        """What `on call` would answer now of a turn that waits or runs, or has at its arrival; NONE where no call is
        likely or it fails."""
        try:
            row = self._read_row(turn, self._engine.clock(), self._step())
            return self.policy.scalar.handling(row, self._engine_now())
        except Exception:
            self.fault("on call")
            return Handling.NONE

    def answer_now(self, turn: Turn, can: Possible | None = None) -> Verdict:
        """What `on call` would answer today about a paused session. *can* be carried out: None: all that the engine
        can. Nothing is counted; raises what the rule does."""
        facts = self._engine.facts
        preserve, swap = (facts.can_preserve, facts.can_swap) if can is None else (can.preserve, can.swap)
        engine = {**self._engine_now(), "allow.preserve": preserve, "allow.swap": swap}
        return self.policy.scalar.on_call(self._read_call(turn, self._engine.clock(), self._step()), engine)

    def asked_now(self, turn: Turn) -> Verdict | None:
        """The same for people; None where it fails."""
        try:
            return self.answer_now(turn)
        except Exception:
            return None

    def terms(self, turn: Turn) -> tuple[float, ...]:
        """The terms of a waiting request's rank, for people; none where the rank fails."""
        try:
            row = self._read_row(turn, self._engine.clock(), self._step())
            return tuple(map(float, self.policy.terms.values(row, self._engine_now())))
        except Exception:
            return ()

    def while_paused(self, turn: Turn, in_force: Handling, can: Possible) -> Verdict | None:
        """What `while paused` says of a session whose call runs; None on a fault: what is in force stays."""
        began = self.begins("while paused")
        try:
            verdict = self.policy.scalar.paused(self._paused_row(turn, in_force), self._granting(can))
        except Exception:
            self.raised("while paused", began)
            return None
        self.asked("while paused", began)
        return verdict if self._stands("while paused", verdict) else None

    def yield_keys(self, turn: Turn, in_force: Handling) -> tuple[float, ...] | None:
        """By what a paused session gives way, lowest first; None: the policy doesn't say, or the rule fails."""
        if not self.policy.states("yield"):
            return None
        self.guard.asked("yield")
        try:
            keys = self.policy.scalar.yield_keys(self._paused_row(turn, in_force), self._engine_now())
        except Exception:
            self.fault("yield")
            return None
        if any(math.isnan(key) for key in keys):
            self.no_number("yield")
        return keys

    def limit(self, name: str) -> float | None:
        """The bound of *name*, in its unit; None where the policy has none. A failing rule: 0, counted."""
        if name not in self.policy.scalar.limits:
            return None
        self.guard.asked(f"limit {name}")
        try:
            return self.policy.scalar.limit(name, self._engine_now())
        except Exception:
            self.fault(f"limit {name}")
            return 0.0

    def share_keys(self, name: str, turn: Turn, in_force: Handling) -> tuple[float, ...]:
        """By what a paused session gets of limit *name*, lowest first; empty: in the order of asking."""
        if not self.policy.states(f"limit {name} ... by"):
            return ()
        try:
            return self.policy.scalar.limit_by(name, self._paused_row(turn, in_force), self._engine_now())
        except Exception:
            self.fault(f"limit {name}")
            return ()

    def raised(self, rule: str, began: float) -> None:
        """A rule that was asked at *began* has raised: one failure, however long it took."""
        self.watch.journal.asked(rule, began)
        self.guard.asked(rule)
        self.fault(rule)

    def fault(self, rule: str) -> None:
        """A rule has raised: counted, and a policy's first time logged. To be called where it is handled."""
        self._counters[f"faults.{rule}"] += 1
        self.watch.journal.use(rule).faults += 1
        raised = sys.exception()
        if self.guard.failed(rule, f"raised {type(raised).__name__}: {raised}"):
            logger.exception("policy %s: `%s` failed; the built-in answer stands", self.policy.name, rule)

    def _granting(self, can: Possible) -> Snapshot:
        """The snapshot with what one session may get; the same for all of a step that may get the same."""
        snapshot = self._engine_now()
        if self._granted_of is not snapshot:
            self._granted_of, self._granted = snapshot, {}
        key = (can.preserve, can.swap)
        if key not in self._granted:
            self._granted[key] = {**snapshot, "allow.preserve": can.preserve, "allow.swap": can.swap}
        return self._granted[key]

    def _paused_row(self, turn: Turn, in_force: Handling) -> dict[str, Value]:
        row: dict[str, Any] = {**self._read_paused(turn, self._engine.clock(), self._step())}
        row["call.handling"] = float(in_force)
        return row

    def _stands(self, rule: str, verdict: Verdict) -> bool:
        """Whether an answer can be carried out. An arm without a number is a fault, one that is left doesn't trip."""
        wrong = impossible(verdict)
        nan = any(math.isnan(cost) for _, cost, _ in verdict.costs)
        self._counters[f"faults.{rule}"] += bool(wrong) or nan
        if wrong or (nan and undecided(verdict)):
            self.guard.failed(rule, wrong or "gave no number")
        return not wrong


@contextmanager
def as_decided_by(deciding: Deciding, turns: Iterable[Turn]) -> Iterator[None]:
    """For the block: what a policy that decides at arrival and ranks by it would decide of *turns* if they came now.

    Raises what its rule does.
    """
    asked = list(turns) if "call.decided" in deciding.policy.rank_keys else []
    before = [(turn, turn.foreseen) for turn in asked]
    try:
        for turn in asked:
            turn.foreseen = deciding.answer_now(turn)
        yield
    finally:
        for turn, foreseen in before:
            turn.foreseen = foreseen
