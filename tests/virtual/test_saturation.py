"""Saturation is what the engine served while it was full, whatever its end took."""

from __future__ import annotations

import pytest

from engine_adapter.virtual.saturation import saturation
from engine_adapter.workload.result import SessionResult, TurnResult


def session(done_s: float | None, tokens: int = 10) -> SessionResult:
    turn = TurnResult(prompt_tokens=5, output_tokens=tokens, gap_s=0.0, due_s=0.0, lag_s=0.0, done_s=done_s)
    return SessionResult("s", None, 0.0, 1, [turn])


def test_a_steady_engine_serves_what_it_finishes() -> None:
    assert saturation([session(n / 4) for n in range(1, 101)]) == pytest.approx(4.0)


def test_the_end_of_the_run_does_not_count() -> None:
    steady = [session(n / 4) for n in range(1, 76)]
    late = [session(1000.0 + n) for n in range(25)]
    assert saturation([*steady, *late]) == pytest.approx(4.0)


def test_sessions_count_by_their_tokens() -> None:
    assert saturation([session(1.0, 90), session(9.0, 10)]) == pytest.approx(0.75 * 2 / 1.0)


def test_an_engine_that_serves_nothing_has_none() -> None:
    assert saturation([session(None)]) == 0.0
