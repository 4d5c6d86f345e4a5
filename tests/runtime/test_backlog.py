"""The wait that first come, first served would give, from the work that waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.runtime.backlog import Backlog
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.turn import Turn


def turn(name: str, context: int, output: int) -> Turn:
    session = Session(name, None, "", arrival=0.0, last_seen=0.0)
    hints = Hints(output_tokens=output)
    return Turn(
        id=name,
        session=session,
        hints=hints,
        foresee=lambda: Predictor().forecast(session, hints, False, None),
        arrival=0.0,
        prompt_tokens=context,
        block_size=16,
        context_tokens=context,
    )


def test_an_empty_queue_makes_nobody_wait() -> None:
    assert Backlog(CostModel()).wait_s(10_000.0) == 0.0


def test_the_wait_is_the_work_over_what_gets_done() -> None:
    costs = CostModel()
    backlog = Backlog(costs)
    backlog.add(turn("a", 1000, 100))
    step_s, prefill_s = costs.step_time_s, costs.costs.prefill_s_per_tok
    work = 1000 * (1000 * prefill_s + 100 * step_s) + 100 * 100 / 2 * step_s
    assert backlog.wait_s(5000.0) == pytest.approx(work / 5000.0)
    backlog.add(turn("b", 1000, 100))
    assert backlog.wait_s(5000.0) == pytest.approx(2 * work / 5000.0)


def test_what_there_is_room_for_is_served_at_once() -> None:
    backlog = Backlog(CostModel())
    backlog.add(turn("a", 1000, 100))
    assert backlog.wait_s(0.0, 500.0) == backlog.wait_s(500.0)
    assert backlog.wait_s(2000.0, 50_000.0) == backlog.wait_s(3000.0)  # no more than waits
    backlog.remove("a")
    backlog.add(turn("b", 200, 100))
    assert backlog.wait_s(0.0, 50_000.0) == backlog.wait_s(200.0)


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=20), st.randoms())
def test_what_leaves_takes_its_work_with_it(lengths: list[tuple[int, int]], chance: object) -> None:
    backlog = Backlog(CostModel())
    names = [f"r{n}" for n in range(len(lengths))]
    for name, (context, output) in zip(names, lengths, strict=True):
        backlog.add(turn(name, context, output))
        assert backlog.wait_s(1.0) > 0
    chance.shuffle(names)  # type: ignore[attr-defined]
    before = backlog.wait_s(1.0)
    for name in names:
        backlog.remove(name)
        backlog.remove(name)
        assert backlog.wait_s(1.0) <= before
        before = backlog.wait_s(1.0)
    assert backlog.wait_s(1.0) == 0.0
