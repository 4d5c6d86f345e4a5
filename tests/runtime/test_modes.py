"""Durations by order of magnitude: what a call that has run for long is expected to take."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.learned import MOST_CLASSES
from engine_adapter.runtime.modes import ByMagnitude, outlasting
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.turn import CallState
from policy_dsl.prediction import Dist


def session() -> Session:
    return Session("s", None, "", 0.0, 0.0)


def two_kinds(calls: int = 2000) -> Predictor:
    """Nine of ten calls take about 0.3 s, the tenth about 200."""
    predictor, chance = Predictor(), random.Random(1)
    for _ in range(calls):
        slow = chance.random() < 0.1
        predictor.learn_call(session(), "build", chance.lognormvariate(math.log(200 if slow else 0.3), 0.3), 10)
    return predictor


def test_a_call_that_outlasts_the_quick_kind_is_of_the_slow_one() -> None:
    call = two_kinds().call(session(), Hints(), ("build",))
    at_start = outlasting(call.duration, call.modes, 0.0)
    assert at_start == call.duration
    later = outlasting(call.duration, call.modes, 5.0)
    assert later.known
    assert later.mean == pytest.approx(209, rel=0.15)
    assert later.stat("p50") == pytest.approx(200, rel=0.15)
    one_log_normal = call.duration.conditioned(5.0)
    assert abs(math.log(one_log_normal.stat("p50") / 200)) > 1.0  # what the mixture is for


def test_a_call_that_outlasts_all_kinds_is_no_longer_known() -> None:
    call = two_kinds().call(session(), Hints(), ("build",))
    late = outlasting(call.duration, call.modes, 10_000_000.0)
    assert not late.known
    assert late.mean == 20_000_000.0


def test_without_measurements_or_with_a_hint_there_are_no_kinds() -> None:
    predictor = two_kinds()
    assert predictor.call(session(), Hints(), ("other",)).modes == ()
    assert predictor.call(session(), Hints(call_tool="build", call_duration_s=3.0), ("build",)).modes == ()
    plain = Dist.between(2.0, 9.0)
    assert outlasting(plain, (), 4.0) == plain.conditioned(4.0)


def test_what_was_true_long_ago_is_forgotten() -> None:
    seen = ByMagnitude(1e-5)
    for duration_s in (*[100.0] * 200, *[1.5] * 2000):
        seen.learn("t", duration_s)
    assert len(seen.modes("t")) == 1


def test_it_survives_a_restart_and_two_engines_are_merged() -> None:
    one = two_kinds()
    other = Predictor()
    other.merge(one.state())
    here, there = (p.call(session(), Hints(), ("build",)) for p in (one, other))
    assert there.modes == here.modes
    other.merge(one.state())
    twice = other.call(session(), Hints(), ("build",))
    later = [outlasting(c.duration, c.modes, 5.0).mean for c in (here, twice)]
    assert later[0] == pytest.approx(later[1], rel=0.02)


def test_the_number_of_tools_is_bounded_and_rubbish_is_left_out() -> None:
    seen = ByMagnitude(1e-5)
    for n in range(MOST_CLASSES + 50):
        seen.learn(f"t{n}", 1.0)
    assert seen.modes("t0") == ()
    assert len(seen.counts()) == MOST_CLASSES
    empty = ByMagnitude(1e-5)
    empty.merge_counts({("t", "x"): seen.moments[("t99", 0)], (): seen.moments[("t99", 0)]})
    assert empty.counts() == {}


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=30), st.floats(0.0, 1e7))
def test_whatever_was_seen_the_rest_is_a_duration(durations: list[float], elapsed_s: float) -> None:
    predictor = Predictor()
    for duration_s in durations:
        predictor.learn_call(session(), "t", duration_s, 1)
    call = predictor.call(session(), Hints(), ("t",))
    found = outlasting(call.duration, call.modes, elapsed_s)
    assert found.mean >= elapsed_s * (1 - 1e-9)
    assert math.isfinite(found.mean) and math.isfinite(float(found.stat("p99")))


@settings(deadline=None)
@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=6))
def test_a_call_remembers_nothing_but_what_it_would_say_again(elapsed: list[float]) -> None:
    call = two_kinds(50).call(session(), Hints(), ("build",))
    state = CallState("build", 1, 0.0, 10, call.duration, call.response, call.modes)
    for elapsed_s in (*elapsed, 0.0, elapsed[0]):
        assert state.lasting(elapsed_s) == outlasting(call.duration, call.modes, elapsed_s)
