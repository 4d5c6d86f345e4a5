"""The ledger against a plain model: nothing is lost, totals are exact."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine_adapter.runtime.ledger import MAX_HOLD_S, Ledger, Pin


def pin(session: str, tokens: int = 16, since: float = 0.0, until: float = 10.0, expected: float = math.inf) -> Pin:
    return Pin(session, ("block",), tokens, since, until, expected)


def test_one_pin_a_session() -> None:
    ledger = Ledger()
    ledger.add(pin("a"))
    with pytest.raises(ValueError, match="pinned already"):
        ledger.add(pin("a"))
    assert (len(ledger), ledger.tokens) == (1, 16)


@pytest.mark.parametrize("bad", [pin("a", tokens=-1), pin("a", until=math.nan), pin("a", since=math.inf)])
def test_a_pin_that_makes_no_sense_is_refused(bad: Pin) -> None:
    ledger = Ledger()
    with pytest.raises(ValueError):
        ledger.add(bad)
    assert len(ledger) == 0


def test_every_pin_ends() -> None:
    entered = Ledger().add(pin("a", since=5.0, until=math.inf))
    assert entered.until == 5.0 + MAX_HOLD_S


def test_due_in_order_and_until_taken() -> None:
    ledger = Ledger()
    for name, until in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        ledger.add(pin(name, until=until))
    assert [p.session for p in ledger.due(2.0)] == ["a", "b"]
    assert [p.session for p in ledger.due(2.0)] == ["a", "b"]
    ledger.take("a")
    ledger.take("c")
    assert [p.session for p in ledger.due(9.0)] == ["b"]


def test_an_entry_that_was_replaced_is_due_at_its_new_end() -> None:
    ledger = Ledger()
    ledger.add(pin("a", until=1.0))
    ledger.take("a")
    ledger.add(pin("a", until=5.0))
    assert ledger.due(2.0) == []
    assert len(ledger.due(5.0)) == 1


def test_the_latest_expected_return_yields_first() -> None:
    ledger = Ledger()
    ledger.add(pin("soon", expected=1.0))
    ledger.add(pin("never"))
    ledger.add(pin("later", expected=9.0, tokens=1))
    assert [p.session for p in ledger.yielding()] == ["never", "later", "soon"]
    assert ledger.yielding(key=lambda p: p.tokens)[0].session == "later"


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(max_hold_s=50.0)
        self.model: dict[str, Pin] = {}
        self.now = 0.0

    @rule(session=st.sampled_from("abcdef"), tokens=st.integers(0, 99), lasts=st.floats(0, 100) | st.just(math.inf))
    def add(self, session: str, tokens: int, lasts: float) -> None:
        new = pin(session, tokens, self.now, self.now + lasts)
        if session in self.model:
            with pytest.raises(ValueError):
                self.ledger.add(new)
        else:
            self.model[session] = self.ledger.add(new)

    @rule(session=st.sampled_from("abcdef"))
    def take(self, session: str) -> None:
        assert self.ledger.take(session) == self.model.pop(session, None)

    @rule(step=st.floats(0, 60))
    def expire(self, step: float) -> None:
        self.now += step
        due = self.ledger.due(self.now)
        assert {p.session for p in due} == {s for s, p in self.model.items() if p.until <= self.now}
        for p in due:
            assert self.ledger.take(p.session) == self.model.pop(p.session)

    @rule(times=st.integers(1, 200))
    def churn(self, times: int) -> None:
        for _ in range(times):
            self.ledger.add(pin("churn", 1, self.now, self.now + 49))
            self.ledger.take("churn")

    @invariant()
    def agrees(self) -> None:
        assert {p.session: p for p in self.ledger} == self.model
        assert self.ledger.tokens == sum(p.tokens for p in self.model.values())
        assert len(self.ledger._ends) <= 2 * len(self.model) + 65

    def teardown(self) -> None:
        for session in "abcdef":
            self.ledger.take(session)
        assert (len(self.ledger), self.ledger.tokens, self.ledger.due(math.inf)) == (0, 0, [])


TestLedger = LedgerMachine.TestCase
