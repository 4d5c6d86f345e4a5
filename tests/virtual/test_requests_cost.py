"""What a request costs beside its tokens: in the server in front of the engine, and of the engine's own time."""

from __future__ import annotations

import pytest

from engine_adapter.virtual.driver import run
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import TurnResult
from engine_adapter.workload.trace import Trace
from tests.virtual.small import SMALL, profile, session

PLAIN = SMALL["step"]
STEP_S, TOKEN_S = PLAIN["step_s"], PLAIN["prefill_token_s"]


def turns(starts: list[float], **changes: object) -> list[TurnResult]:
    """Turns of sessions with a prompt of 100 tokens and an answer of three, which come at *starts*."""
    made = [session(f"s{n}", (100, 3)) for n in range(len(starts))]
    sessions = tuple(type(one)(one.name, one.turns, one.tool, start_s=at) for one, at in zip(made, starts, strict=True))
    found = run(Simulation("stock", Trace("t", sessions), Load(arriving=Recorded()), profile(**changes)), None)
    return [one.turns[0] for one in sorted(found.sessions, key=lambda one: one.arrival_s)]


def test_a_request_alone_comes_later_by_what_lies_before_the_engine() -> None:
    (plain,) = turns([0.0])
    (later,) = turns([0.0], overhead_s=0.5, overhead_token_s=1e-3)
    assert later.due_s == plain.due_s == 0.0
    assert plain.ttft_s == pytest.approx(STEP_S + 100 * TOKEN_S)
    assert later.ttft_s == pytest.approx(plain.ttft_s + 0.5 + 100 * 1e-3)
    assert later.done_s == pytest.approx(plain.done_s + 0.6)


def test_requests_are_handled_one_after_the_other() -> None:
    first, second, third = turns([0.0, 0.1, 5.0], overhead_s=0.5)
    assert first.started_s == pytest.approx(0.5)
    assert second.started_s == pytest.approx(1.0)
    assert third.started_s == pytest.approx(5.5)


def test_the_step_that_an_idle_engine_begins_with_takes_longer() -> None:
    starts = [0.0, 0.001, 5.0]
    plain, seen = turns(starts), turns(starts, step=PLAIN | {"wake_s": 0.07})
    assert seen[0].ttft_s == pytest.approx(plain[0].ttft_s + 0.07)
    # The second finds it at work, the third idle again.
    assert seen[1].done_s == pytest.approx(plain[1].done_s + 0.07)
    assert seen[2].ttft_s == pytest.approx(plain[2].ttft_s + 0.07)


def test_coming_and_ending_take_the_engines_time() -> None:
    changed = {"step": PLAIN | {"request_s": 0.4, "prefill_seq_s": 0.03}}
    (alone,) = turns([0.0], **changed)
    assert alone.ttft_s == pytest.approx(STEP_S + 100 * TOKEN_S + 0.03 + 0.4 / 2)
    plain, seen = turns([0.0, 0.001]), turns([0.0, 0.001], **changed)
    # Two came and the first has ended when the second's last token is computed.
    assert seen[1].done_s == pytest.approx(plain[1].done_s + 2 * 0.03 + 3 * 0.4 / 2, abs=0.03)
