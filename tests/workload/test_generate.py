"""Generated sessions: their moments are those of the table, a seed fixes them, and they replay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from engine_adapter.workload.generate import CLASSES, MIX, Moments, generate
from engine_adapter.workload.trace import SessionTrace, TraceError, parsed, written

SESSIONS = 2_000
MEASURED: dict[str, Callable[[SessionTrace], list[float]]] = {
    "duration_s": lambda session: [turn.gap_s for turn in session.turns[1:]],
    "calls": lambda session: [len(session.turns) - 1],
    "prompt": lambda session: [session.turns[0].prompt],
    "output": lambda session: [turn.output for turn in session.turns],
    "response": lambda session: [turn.prompt - turn.shared for turn in session.turns[1:]],
}


def within_sampling_error(values: Sequence[float], wanted: Moments) -> None:
    """Five standard errors, both of them from what a lognormal distribution of that width has: the widest of ours."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    if wanted.deviation == 0:
        assert set(values) == {wanted.mean}
        return
    assert abs(mean - wanted.mean) < 5 * wanted.deviation / math.sqrt(len(values))
    w = 1 + (wanted.deviation / wanted.mean) ** 2
    kurtosis = w**4 + 2 * w**3 + 3 * w**2 - 3
    relative_error = math.sqrt((kurtosis - 1) / len(values)) / 2
    assert abs(deviation / wanted.deviation - 1) < 5 * relative_error + 0.02  # rounding is worth a little


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("field", MEASURED)
def test_moments_are_those_of_the_table(name: str, field: str) -> None:
    trace = generate({name: 1}, SESSIONS, seed=5)
    values = [value for session in trace.sessions for value in MEASURED[field](session)]
    within_sampling_error(values, getattr(CLASSES[name], field))


def test_a_wrong_moment_would_be_noticed() -> None:
    values = [turn.gap_s for session in generate({"qa": 1}, SESSIONS, 5).sessions for turn in session.turns[1:]]
    for wrong in (Moments(0.72, 0.17), Moments(0.69, 0.21)):
        with pytest.raises(AssertionError):
            within_sampling_error(values, wrong)


def test_classes_come_by_their_weights() -> None:
    drawn = [session.tool for session in generate(MIX, 4000, 0).sessions]
    total = sum(MIX.values())
    for name, weight in MIX.items():
        share = weight / total
        assert abs(drawn.count(name) / 4000 - share) < 5 * math.sqrt(share * (1 - share) / 4000)


def test_a_seed_fixes_the_sessions_and_more_begin_with_the_same() -> None:
    few, many, other = generate(MIX, 50, 3), generate(MIX, 80, 3), generate(MIX, 50, 4)
    assert many.sessions[:50] == few.sessions != other.sessions


def test_generated_sessions_are_good_traces() -> None:
    sessions = generate(MIX, 300, 1).sessions
    assert parsed("made", written(sessions)) == sessions
    assert {session.turns[-1].after for session in sessions} == {"tool"}


@pytest.mark.parametrize(
    ("classes", "sessions", "message"),
    [
        ({"maths": 1}, 5, "no class is named maths: there are math, qa,"),
        ({"qa": -1.0}, 5, "the weight of qa is -1"),
        ({"qa": math.nan}, 5, "the weight of qa is nan"),
        ({"qa": 1e308, "ve": 1e308}, 5, "must add up"),
        ({"qa": 0}, 5, "must add up to more than 0"),
        ({}, 5, "must add up to more than 0"),
        ({"qa": 1}, 0, "0 sessions are asked for"),
    ],
)
def test_what_cannot_be_generated_is_a_sentence(classes: dict[str, float], sessions: int, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        generate(classes, sessions, 0)
