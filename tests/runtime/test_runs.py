"""What a session has left to do, learned from runs that have ended."""

from __future__ import annotations

import pytest

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.predictor import USER, Predictor
from engine_adapter.runtime.runs import MOST_TURNS, Runs, Step, classes_of
from engine_adapter.runtime.sessions import Session

OFFERED = Hints(may_call=True)
CLASSES = classes_of("", "", 9, 0)


def new() -> Session:
    return Session("s", None, "", arrival=0.0, last_seen=0.0)


def live(predictor: Predictor, outputs: tuple[int, ...], gap_s: float) -> None:
    """A run of calls of "search", then an answer."""
    session = new()
    for place, output in enumerate(outputs):
        predictor.begin_turn(session, 400)
        last = place == len(outputs) - 1
        predictor.learn_turn(session, OFFERED, output, not last, USER if last else "search")
        if not last:
            predictor.learn_call(session, "search", gap_s, 30)


def test_a_turn_has_left_what_came_after_it() -> None:
    runs = Runs()
    assert runs.left(CLASSES) is None
    for _ in range(40):
        runs.ended([Step(CLASSES, 100.0, 2.0), Step(classes_of("", "search", 9, 1), 50.0, 3.0), Step((), 10.0)])
    left = runs.left(CLASSES)
    assert left is not None
    assert (left.output, left.calls, left.call_time_s) == pytest.approx((60.0, 2.0, 5.0), rel=0.1)
    later = runs.left(classes_of("", "search", 9, 1))
    assert later is not None
    assert (later.output, later.calls, later.call_time_s) == pytest.approx((10.0, 1.0, 3.0), rel=0.1)


def test_the_predictor_learns_runs_as_they_end() -> None:
    predictor, session = Predictor(), new()
    for _ in range(40):
        live(predictor, (100, 80, 20), gap_s=4.0)
    predictor.begin_turn(session, 400)
    left = predictor.forecast(session, OFFERED, True, None).left
    assert (left.output, left.calls, left.call_time_s) == pytest.approx((100, 2, 8), rel=0.1)
    predictor.learn_turn(session, OFFERED, 100, True, "search")
    predictor.learn_call(session, "search", 4.0, 30)
    assert predictor.forecast(session, OFFERED, True, None).left.output == pytest.approx(20, rel=0.3)


def test_a_run_that_has_not_ended_teaches_nothing() -> None:
    predictor, session = Predictor(), new()
    predictor.begin_turn(session, 400)
    predictor.learn_turn(session, OFFERED, 100, True, "search")
    assert "output_left" in predictor.state()
    assert not predictor.state()["output_left"]


def test_what_the_client_says_wins() -> None:
    predictor = Predictor()
    live(predictor, (100, 80, 20), gap_s=4.0)
    hints = Hints(output_tokens=5, output_after_tokens=7, calls_left=9, call_time_left_s=11)
    left = predictor.forecast(new(), hints, True, None).left
    assert (left.output, left.calls, left.call_time_s) == (7, 9, 11)


def test_a_long_run_keeps_its_last_turns() -> None:
    predictor, session = Predictor(), new()
    for _ in range(3 * MOST_TURNS):
        predictor.learn_turn(session, OFFERED, 1, True, "search")
    assert len(session.run) <= MOST_TURNS + 1
