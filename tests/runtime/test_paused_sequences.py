"""Whatever happens to sessions, in whatever order: nothing leaks, no pin outlives its end, no bound is passed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.host import MAX_COPY_S
from engine_adapter.runtime.keeping import MAX_PIN_S, MAX_PINNED_SHARE
from policy_dsl.types import Handling
from tests.runtime.host_port import BLOCK, HostWorld
from tests.runtime.test_core import FACTS, arrive

POLICIES = (
    "on call preserve",
    "on call swap",
    "on call at arrival preserve for 2s then swap for 5s then preserve for 20s",
    "on call preserve for 1s then swap\nwhile paused every 1s again\nlimit host <= 8%\nyield highest call.remaining",
    "on call preserve\nwhile paused every 1step least { preserve: call.elapsed / 1s\n swap: 1\n discard: 3 }\n"
    "limit swapping <= 60tok by highest call.context\nlimit pinned <= 12%",
    "on call swap for 3s\nwhile paused every 2steps if call.elapsed > 2s { discard } "
    "else { preserve for 4s then swap }\n"
    "limit pinned <= 20% * (1 / max(engine.paused, 1))",
)
SESSIONS = st.sampled_from("abcdef")


class PausedMachine(RuleBasedStateMachine):
    @initialize(rules=st.sampled_from(POLICIES), host_tokens=st.sampled_from([0, 300, 4_000]))
    def begin(self, rules: str, host_tokens: int) -> None:
        self.world = HostWorld(host_tokens=host_tokens)
        self.runtime: Runtime = self.world.runtime("rank request.arrival\n" + rules)
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.count = 0

    @rule(session=SESSIONS, tokens=st.integers(20, 500), announced=st.booleans())
    def arrives(self, session: str, tokens: int, announced: bool) -> None:
        self.count += 1
        name = f"{session}{self.count}"
        hints = {"lamps_call_tool": "x"} if announced else {"lamps_may_call": 1, "lamps_turn": name}
        arrive(self.runtime, name, tokens, session, **hints)
        self.waiting.append(name)

    @rule(cached=st.integers(0, 100))
    def is_admitted(self, cached: int) -> None:
        if self.waiting:
            name = self.waiting.pop(0)
            self.runtime.dequeue(name)
            self.runtime.admitted({name: cached})
            self.running.append(name)

    @rule()
    def is_preempted(self) -> None:
        if self.running:
            name = self.running.pop()
            self.runtime.preempted(name, self.runtime.turns[name].prompt_tokens + 1)
            self.runtime.enqueue(name)
            self.waiting.append(name)

    @rule(generated=st.integers(1, 300), aborted=st.booleans(), waits=st.booleans())
    def ends(self, generated: int, aborted: bool, waits: bool) -> None:
        where = self.waiting if waits and aborted else self.running
        if where:
            name = where.pop()
            if where is self.waiting:
                self.runtime.dequeue(name)
            tokens = self.runtime.turns[name].prompt_tokens + generated
            self.world.end(self.runtime, name, tokens, aborted)

    @rule(number=st.integers(1, 40), session=SESSIONS, outcome=st.sampled_from(["call", "end", "gone"]))
    def is_judged(self, number: int, session: str, outcome: str) -> None:
        self.runtime.verdict(f"{session}{number}", outcome, ("y",) if outcome == "call" else ())

    @rule(after_s=st.sampled_from([0.01, 0.3, 1.0, 4.0, 700.0]))
    def steps(self, after_s: float) -> None:
        self.world.step(self.runtime, after_s)
        late = [pin for pin in self.runtime.calls.ledger if pin.until <= self.world.now]
        assert not late
        assert not [copy for copy in self.runtime.calls.copies.ledger if copy.until <= self.world.now]
        assert self.world.moved_in_step <= 60 + BLOCK or "limit swapping" not in self.runtime.policy.statements

    @rule(session=SESSIONS, blocks=st.integers(1, 20))
    def is_copied(self, session: str, blocks: int) -> None:
        there = self.world.under_way.get(session, 0)
        if there:
            self.world.finish_copies(self.runtime, session, min(blocks, there))

    @rule(session=SESSIONS)
    def copy_is_lost(self, session: str) -> None:
        if session in self.world.copied:
            self.world.copied.pop(session)
            self.world.under_way.pop(session, None)
            self.runtime.calls.copy_lost(session)

    @rule(refuses=st.booleans())
    def host_refuses(self, refuses: bool) -> None:
        self.world.refuses = refuses

    @rule(wanted=st.integers(1, 30))
    def pins_yield(self, wanted: int) -> None:
        order = self.runtime.calls.yield_order(spare="a")
        assert sorted(pin.session for pin in order) == sorted(pin.session for pin in self.runtime.calls.ledger)
        if order:
            self.runtime.calls.shrink(order[0], wanted, len, "yielded_idle")

    @rule()
    def cache_is_reset(self) -> None:
        self.runtime.calls.clear()
        assert self.world.held == 0 and not self.world.copied

    @invariant()
    def accounts_agree(self) -> None:
        calls = self.runtime.calls
        assert self.world.held == sum(len(pin.blocks) for pin in calls.ledger)
        assert calls.ledger.tokens == BLOCK * self.world.held
        assert all(pin.until <= pin.since + MAX_PIN_S for pin in calls.ledger)
        assert all(copy.until <= copy.since + MAX_COPY_S for copy in calls.copies.ledger)
        assert {copy.session for copy in calls.copies.ledger} == set(self.world.copied)
        assert calls.copies.ledger.tokens <= self.world.host_tokens
        assert set(self.world.under_way) <= set(self.world.copied)
        preserved = [pin for pin in calls.ledger if pin.reason == "preserve"]
        assert sum(pin.tokens for pin in preserved) <= MAX_PINNED_SHARE * FACTS.kv_total_tokens
        for key, paused in calls.paused.items():
            held = key in calls.ledger or key in calls.copies.ledger
            assert held or paused.provisional or paused.handling is Handling.DISCARD, key

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for name in [*self.running, *self.waiting]:
            self.world.end(self.runtime, name, 600, aborted=True)
        self.world.step(self.runtime, 4_000.0)  # the sessions are forgotten
        assert self.world.held == 0
        assert (self.world.copied, self.world.foreseen, self.world.under_way) == ({}, {}, {})
        assert not self.runtime.calls.paused and not self.runtime.calls.keeping
        assert len(self.runtime.calls.askings) == 0
        assert not [
            name for name in self.runtime.counters if name.startswith("faults.") and self.runtime.counters[name]
        ]


PausedMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPaused = PausedMachine.TestCase
