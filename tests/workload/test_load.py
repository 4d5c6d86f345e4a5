"""Load: the same seed gives the same arrivals and tokens, another gives others, scales scale."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.workload.load import Load, TokenSource, arrivals, scaled
from engine_adapter.workload.trace import SHIPPED, SessionTrace, TraceError, Turn, load_trace

TRACE = load_trace("augmented-single")


def test_a_seed_fixes_draw_and_arrivals() -> None:
    one = arrivals(TRACE, Load(rate=5, sessions=50, seed=3))
    assert one == arrivals(TRACE, Load(rate=5, sessions=50, seed=3))
    assert one != arrivals(TRACE, Load(rate=5, sessions=50, seed=4))


def test_the_rate_changes_when_but_not_who() -> None:
    slow, fast = (arrivals(TRACE, Load(rate=rate, sessions=50)) for rate in (1, 10))
    assert [a.session for a in slow] == [a.session for a in fast]
    for one, other in zip(slow, fast, strict=True):
        assert one.arrival_s == pytest.approx(10 * other.arrival_s)


def test_arrivals_come_at_the_rate_and_are_memoryless() -> None:
    times = [a.arrival_s for a in arrivals(TRACE, Load(rate=4, sessions=4000, replacement=True))]
    waits = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    mean = math.fsum(waits) / len(waits)
    deviation = math.sqrt(math.fsum((wait - mean) ** 2 for wait in waits) / len(waits))
    assert mean == pytest.approx(0.25, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.1)  # as the exponential distribution has it


def test_without_replacement_each_session_comes_once() -> None:
    drawn = [a.session.name for a in arrivals(TRACE, Load())]
    assert sorted(drawn) == sorted(session.name for session in TRACE.sessions)
    with pytest.raises(TraceError, match="has 397 sessions, 398 are asked for"):
        arrivals(TRACE, Load(sessions=398))


def test_names_are_unique_even_when_sessions_repeat() -> None:
    drawn = arrivals(TRACE, Load(sessions=1000, replacement=True))
    assert len({a.name for a in drawn}) == 1000 > len({a.session.name for a in drawn})


def test_scales_keep_a_session_replayable() -> None:
    session = SessionTrace("s", (Turn(100, 0, 10), Turn(200, 110, 1, 30.0, "tool"), Turn(202, 201, 3, 90.0, "user")))
    small = scaled(session, Load(length_scale=0.1, gap_scale=0.5, max_gap_s=20))
    assert small.turns == (Turn(10, 0, 1), Turn(20, 11, 1, 15.0, "tool"), Turn(20, 20, 1, 20.0, "user"))
    assert scaled(session, Load()) == session


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("scale", [0.003, 0.0625, 1.7])
def test_no_scale_makes_a_turn_share_what_is_not_there(name: str, scale: float) -> None:
    for session in load_trace(name).sessions:
        known = 0
        for turn in scaled(session, Load(length_scale=scale)).turns:
            assert turn.output >= 1 <= turn.prompt
            assert 0 <= turn.shared <= min(turn.prompt, known)
            known = turn.prompt + turn.output


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(("scale", "longest"), [(0.25, None), (3.0, 20.0), (0.0, None)])
def test_gaps_are_scaled_then_cut_and_nothing_else(name: str, scale: float, longest: float | None) -> None:
    for session in load_trace(name).sessions:
        found = scaled(session, Load(gap_scale=scale, max_gap_s=longest))
        gaps = [min(turn.gap_s * scale, math.inf if longest is None else longest) for turn in session.turns]
        assert [turn.gap_s for turn in found.turns] == gaps
        assert replace(found, turns=()) == replace(session, turns=())
        assert [(t.prompt, t.shared, t.output, t.after) for t in found.turns] == [
            (t.prompt, t.shared, t.output, t.after) for t in session.turns
        ]


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (Load(length_scale=math.inf), "lengths x inf make a turn of inf tokens"),
        (Load(length_scale=1e6), "make a turn of 2.048e"),
        (Load(length_scale=math.nan), "lengths x nan"),
        (Load(gap_scale=math.inf), "gaps x inf make one of inf s"),
        (Load(gap_scale=math.inf, max_gap_s=5), "gaps x inf"),
        (Load(gap_scale=1e300), "longer than 1e.08 s"),
        (Load(gap_scale=math.nan, max_gap_s=5), "gaps x nan"),
    ],
)
def test_a_scale_that_is_a_mistake_is_refused(load: Load, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        arrivals(TRACE, load)


def test_a_follow_up_repeats_what_the_engine_really_generated(trace_file: Path) -> None:
    first, second = load_trace(trace_file).sessions[0].turns
    tokens = TokenSource(seed=1, name="a")
    prompt = tokens.prompt(first)
    tokens.answered(prompt, [7, 8, 9, 10, 11, 12, 13, 14])
    follow_up = tokens.prompt(second)
    assert follow_up[:38] == [*prompt, 7, 8, 9, 10, 11, 12, 13, 14]
    assert len(follow_up) == 45


def test_token_ids_are_a_sessions_own() -> None:
    turn = Turn(1000, 0, 1)
    same, again, other_name, other_seed = (
        TokenSource(seed, name).prompt(turn) for seed, name in ((1, "a"), (1, "a"), (1, "b"), (2, "a"))
    )
    assert same == again
    assert same[:16] != other_name[:16] != other_seed[:16] != same[:16]
    assert min(same) >= 1000
    assert max(same) < 31_000
