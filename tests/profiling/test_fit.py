"""The fit finds the times that steps were made with, whatever they are, and says how far off it is."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.profiling.fit import FitError, fit_steps, kind_of, predicted_s
from engine_adapter.profiling.least_squares import non_negative
from engine_adapter.virtual.profile import StepTimes
from tests.profiling.made import steps

CPU = StepTimes(
    step_s=0.003, prefill_token_s=1e-5, prefill_context_s=2e-9, decode_seq_s=5e-5, context_token_s=1e-7,
    prefill_seq_s=2e-4, request_s=8e-4, wake_s=2e-3,
)  # fmt: skip
GPU = StepTimes(step_s=0.001, floor_s=0.006, token_s=0.006 / 256, prefill_context_s=1e-9, context_token_s=5e-8)


@settings(deadline=None, max_examples=25)
@given(
    step_s=st.floats(1e-4, 0.05),
    terms=st.tuples(*(st.one_of(st.just(0.0), st.floats(0.02, 1.0)) for _ in range(7))),
)
def test_planted_times_are_found(step_s: float, terms: tuple[float, ...]) -> None:
    """Each term as a share of a step's time at a usual size of what it counts."""
    sizes = {
        "prefill_token_s": 500, "prefill_context_s": 5e5, "decode_seq_s": 32, "context_token_s": 32_000,
        "prefill_seq_s": 4, "request_s": 3, "wake_s": 1,
    }  # fmt: skip
    planted = {name: step_s * term / size for (name, size), term in zip(sizes.items(), terms, strict=True)}
    times = StepTimes(step_s=step_s, **planted)
    fitted = fit_steps(steps(times, 600))
    for step in steps(times, 90, seed=5):
        assert predicted_s(fitted.times, step) == pytest.approx(predicted_s(times, step), rel=1e-3)
    assert fitted.times.step_s == pytest.approx(step_s, rel=0.01)
    assert fitted.fit.r2 > 0.999


def test_noise_is_told_and_doesnt_shift_the_sum() -> None:
    fitted = fit_steps(steps(CPU, 4000, noise=0.15))
    for quality in fitted.fit.kinds.values():
        assert abs(quality.sum_error) < 0.03
        assert 0.07 < quality.error_p50 < 0.15 < quality.error_p90 < 0.4
    for step in steps(CPU, 60, seed=3):
        assert predicted_s(fitted.times, step) == pytest.approx(predicted_s(CPU, step), rel=0.08)


def test_an_engine_that_reads_its_weights_has_a_floor() -> None:
    fitted = fit_steps(steps(GPU, 1500, noise=0.02))
    assert fitted.times.token_s == pytest.approx(GPU.token_s, rel=0.1)
    assert fitted.times.floor_s / fitted.times.token_s == 256
    for batch in (1, 16, 60):
        assert fitted.times.of(0, 0.0, batch, batch * 500) == pytest.approx(
            GPU.of(0, 0.0, batch, batch * 500), rel=0.03
        )


def test_one_without_has_none() -> None:
    assert fit_steps(steps(CPU, 1500, noise=0.1)).times.floor_s == 0.0


def test_slow_steps_are_of_no_term_but_add_up() -> None:
    """One step in ten takes three times as long."""
    made = steps(CPU, 2000, noise=0.05)
    for place in range(7, 2000, 10):
        made[place] = msgspec.structs.replace(made[place], step_s=3 * made[place].step_s)
    fitted = fit_steps(made)
    took = sum(step.whole_s for step in made)
    assert sum(fitted.predicted) == pytest.approx(took, rel=1e-6)
    longer = took / sum(predicted_s(CPU, step) for step in made)
    assert longer > 1.1
    for step in steps(CPU, 60, seed=3):
        assert predicted_s(fitted.times, step) == pytest.approx(longer * predicted_s(CPU, step), rel=0.08)


def test_a_pause_that_isnt_the_engines_hardly_counts() -> None:
    made = steps(CPU, 2000, noise=0.05)
    made[20] = msgspec.structs.replace(made[20], step_s=30.0)
    fitted = fit_steps(made)
    for step in steps(CPU, 60, seed=3):
        assert predicted_s(fitted.times, step) == pytest.approx(predicted_s(CPU, step), rel=0.08)


@pytest.mark.parametrize("kind", ["decode", "prefill"])
def test_steps_of_one_kind_are_no_engine(kind: str) -> None:
    with pytest.raises(FitError, match=f"of one kind, {kind}"):
        fit_steps([step for step in steps(CPU, 600) if kind_of(step) == kind])


def test_few_steps_are_refused() -> None:
    with pytest.raises(FitError, match="12 steps were measured"):
        fit_steps(steps(CPU, 12))


@given(
    st.lists(st.tuples(*(st.floats(-5, 5) for _ in range(3))), min_size=6, max_size=20),
    st.tuples(*(st.floats(-3, 3) for _ in range(3))),
)
def test_least_squares_without_negatives_is_the_nearest(
    rows: list[tuple[float, ...]], truth: tuple[float, ...]
) -> None:
    """No small step from the answer that stays non-negative comes nearer."""
    columns = np.array(rows)
    target = columns @ np.array(truth)
    weights = np.ones(len(rows))
    found = non_negative(columns, target, weights)
    assert (found >= 0.0).all()
    nearest = float(((columns @ found - target) ** 2).sum())
    for place in range(3):
        for change in (1e-3, -1e-3):
            moved = found.copy()
            moved[place] = max(moved[place] + change, 0.0)
            assert ((columns @ moved - target) ** 2).sum() >= nearest - 1e-9 * (1.0 + float((target**2).sum()))


def test_a_column_of_nothing_gets_nothing() -> None:
    columns = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert non_negative(columns, np.array([2.0, 4.0]), np.ones(2)).tolist() == pytest.approx([2.0, 0.0])
