"""What rules read of a prediction: its mean, its statistics, and what is computed from its distribution."""

from __future__ import annotations

import math

import pytest

from policy_dsl.diagnostics import codes
from tests.policy_dsl.checking import value, wrong

MU, SIGMA = 0.4, 0.7
MEAN = math.exp(MU + SIGMA**2 / 2)
LOGNORMAL = {
    "call__duration": MEAN, "call__duration__mu": MU, "call__duration__sigma": SIGMA, "call__duration__after": 0.0
}  # fmt: skip
POINT = {
    "call__duration": 3.0,
    "call__duration__mu": math.log(3),
    "call__duration__sigma": 0.0,
    "call__duration__after": 0.0,
}


def draws(n: int = 20_000) -> list[float]:
    """Evenly spaced quantiles of the log-normal above."""
    from statistics import NormalDist

    normal = NormalDist(MU, SIGMA)
    return [math.exp(normal.inv_cdf((i + 0.5) / n)) for i in range(n)]


def test_plain_use_is_the_mean_and_statistics_have_keys_of_their_own() -> None:
    row = {"call__duration": 2.0, "call__duration__p90": 5.0, "call__duration__known": True}
    assert value("if call.duration.known { call.duration.p90 - call.duration } else { 0 }", **row) == 3.0


@pytest.mark.parametrize("x", [0.0, 0.3, 1.5, 4.0, 40.0])
def test_chance_and_capped_agree_with_drawing(x: float) -> None:
    values = draws()
    below = sum(v <= x for v in values) / len(values)
    assert value(f"chance(call.duration <= {x}s)", **LOGNORMAL) == pytest.approx(below, abs=1e-3)
    assert value(f"chance(call.duration > {x}s)", **LOGNORMAL) == pytest.approx(1 - below, abs=1e-3)
    mean = sum(min(v, x) for v in values) / len(values)
    assert value(f"capped(call.duration, {x}s)", **LOGNORMAL) == pytest.approx(mean, abs=2e-3)


def test_capped_at_infinity_is_the_mean() -> None:
    assert value("capped(call.duration, 1s / 0)", **LOGNORMAL) == pytest.approx(MEAN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chance(call.duration <= 3s)", 1.0),
        ("chance(call.duration < 3s)", 0.0),
        ("chance(call.duration >= 3s)", 1.0),
        ("chance(call.duration > 3s)", 0.0),
        ("chance(call.duration <= 2s)", 0.0),
        ("capped(call.duration, 2s)", 2.0),
        ("capped(call.duration, 9s)", 3.0),
        ("best_hold(call.duration, 5s, 1)", 3.0),
        ("best_hold(call.duration, 5s, 2)", 0.0),
        ("best_hold(call.duration, 5s, 0)", math.inf),
        ("best_hold(call.duration, 0s, 0)", 0.0),
    ],
)
def test_a_point_is_a_distribution_too(text: str, expected: float) -> None:
    assert value(text, **POINT) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gain", "price"), [(5.0, 0.2), (5.0, 1.0), (1.0, 0.4), (1.0, 3.0), (100.0, 0.01), (0.5, 0.01)]
)
def test_best_hold_is_the_best_of_all_holds(gain: float, price: float) -> None:
    from statistics import NormalDist

    def worth(t: float) -> float:
        return NormalDist().cdf((math.log(t) - MU) / SIGMA) * gain - t * price if t else 0.0

    best = max((i / 200 for i in range(40_000)), key=worth)
    found = value(f"best_hold(call.duration, {gain}s, {price})", **LOGNORMAL)
    assert isinstance(found, float)
    assert worth(found) >= worth(best) - 1e-12
    assert found == pytest.approx(best, abs=0.01)


def test_a_prediction_is_named_not_computed() -> None:
    assert wrong("rank chance(call.duration + 1s <= 2s)")[0][0] == codes.DISTRIBUTION
    assert wrong("rank capped(request.age, 2s)")[0][0] == codes.DISTRIBUTION
    assert wrong("rank chance(3)")[0][0] == codes.DISTRIBUTION
