"""Conditional distributions against brute force, and their edges."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_dsl.prediction import Dist

STATS = ("mean", "p50", "p90", "p95", "p99")


def consistent(mu: float, sigma: float) -> Dist:
    """A log-normal whose measured mean is the implied one."""
    return Dist.from_moments(math.exp(mu + sigma * sigma / 2), mu, sigma * sigma, known=True)


def sampled(mu: float, sigma: float, above: float = 0.0, most: float = math.inf) -> list[float]:
    rng = random.Random(7)
    draws = (rng.lognormvariate(mu, sigma) for _ in range(400_000))
    return sorted(min(x, most) for x in draws if x > above)


def close(found: Dist, values: list[float], shift: float = 0.0) -> None:
    count = len(values)
    assert found.stat("mean") == pytest.approx(math.fsum(values) / count - shift, rel=0.02)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert found.stat(name) == pytest.approx(values[int(share * count)] - shift, rel=0.03), name


@pytest.mark.parametrize("elapsed", [0.5, 2.0, 6.0])
def test_conditioned_is_the_truncated_lognormal(elapsed: float) -> None:
    close(consistent(0.5, 0.8).conditioned(elapsed), sampled(0.5, 0.8, above=elapsed))


def test_remaining_is_the_rest() -> None:
    close(consistent(0.5, 0.8).remaining(2.0), sampled(0.5, 0.8, above=2.0), shift=2.0)


@pytest.mark.parametrize("most", [1.0, 3.0, 40.0])
def test_capped_is_the_minimum(most: float) -> None:
    close(consistent(0.5, 0.8).capped(most), sampled(0.5, 0.8, most=most))


def test_capped_and_conditioned() -> None:
    close(consistent(0.5, 0.8).capped(5.0).conditioned(2.0), sampled(0.5, 0.8, above=2.0, most=5.0))
    close(consistent(0.5, 0.8).conditioned(2.0).capped(5.0), sampled(0.5, 0.8, above=2.0, most=5.0))


def test_the_measured_mean_stands_and_conditioning_starts_from_it() -> None:
    measured = Dist.from_moments(12.0, 0.0, 1.0, known=True)  # implied: 1.65
    assert measured.stat("mean") == 12.0
    assert measured.conditioned(1e-9).stat("mean") == pytest.approx(12.0, rel=1e-6)
    assert measured.conditioned(30.0).stat("mean") > 30.0


def test_conditioning_again_forgets_the_first() -> None:
    once = consistent(0.0, 1.0).conditioned(3.0)
    twice = consistent(0.0, 1.0).conditioned(1.0).conditioned(3.0)
    assert [once.stat(s) for s in STATS] == pytest.approx([twice.stat(s) for s in STATS])
    left = consistent(0.0, 1.0).remaining(1.0).remaining(3.0)
    assert left.stat("mean") == pytest.approx(once.stat("mean") - 3.0)


def test_a_point() -> None:
    point = Dist.point(4.0)
    assert [point.stat(s) for s in STATS] == [4.0] * 5
    assert [point.conditioned(3.0).stat(s) for s in (*STATS, "known")] == [4.0] * 5 + [True]
    assert point.conditioned(4.0).stat("p90") == 8.0
    assert not point.conditioned(4.0).known
    assert point.remaining(1.0).remaining(3.0).stat("mean") == 1.0
    assert point.capped(3.0).stat("p50") == 3.0


def test_nothing_is_a_point_too() -> None:
    nothing = Dist.point(0.0)
    assert nothing.stat("mu") == -math.inf
    assert [nothing.stat(s) for s in STATS] == [0.0] * 5
    assert nothing.conditioned(0.25).stat("mean") == 0.5


def test_an_exhausted_tail_means_as_long_again() -> None:
    spent = consistent(0.0, 0.1).conditioned(1000.0)
    assert spent.stat("mean") == 2000.0
    assert spent.stat("p99") == 2000.0
    assert spent.stat("known") is False


def test_shape_of_what_is_left_has_its_quantiles() -> None:
    found = consistent(0.5, 0.8).remaining(2.0)
    mu, sigma = found.stat("mu"), found.stat("sigma")
    assert math.exp(mu) == pytest.approx(found.stat("p50"))
    assert math.exp(mu + 1.2815515655446004 * sigma) == pytest.approx(found.stat("p90"))
    assert found.stat("after") == 0.0


def test_shape_of_a_conditioned_prediction_is_that_above_what_it_exceeds() -> None:
    found = consistent(0.5, 0.8).conditioned(2.0)
    assert [found.stat(s) for s in ("mu", "sigma", "after")] == [0.5, 0.8, 2.0]


def test_an_unknown_statistic_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Dist.point(1.0).stat("p42")


@given(
    mean=st.floats(1e-6, 1e6),
    mu=st.floats(-12, 14),
    variance=st.floats(0, 200),
    elapsed=st.floats(0, 1e300),
    most=st.floats(1e-3, 1e9) | st.just(math.inf),
)
def test_always_finite_and_in_order(mean: float, mu: float, variance: float, elapsed: float, most: float) -> None:
    found = Dist.from_moments(mean, mu, variance, known=True).capped(most).conditioned(elapsed)
    values = [found.stat(s) for s in STATS]
    assert all(math.isfinite(v) and v >= 0 for v in values)
    assert values[1:] == sorted(values[1:])
    assert all(v >= min(elapsed, most) for v in values)
    rest = found.remaining(elapsed)
    assert all(math.isfinite(rest.stat(s)) and rest.stat(s) >= 0 for s in (*STATS, "sigma"))
