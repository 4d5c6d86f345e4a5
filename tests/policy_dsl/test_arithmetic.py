"""Each operation over columns equals the one on single values, bit for bit, and both are close to the C library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policy_dsl.codegen import arithmetic, columns

SPECIAL = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 5e-324, 1e-310, 2.2e-308, 1.7e308,
    -745.0, -746.0, -747.0, 709.0, 709.78, 709.79, 710.0, 7.07106781186547, 7.0710678, 8.0, 38.0, 40.0, math.sqrt(0.5),
]  # fmt: skip


def samples(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.uniform(-12, 12, 20_000)
    return np.concatenate([SPECIAL, random.normal(size=20_000) * scale, random.uniform(-40, 40, 20_000)])


def equal(a, b) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("name", ["exp", "log", "log2", "normal_cdf"])
def test_functions_of_one(name):
    x = samples(1)
    with np.errstate(all="ignore"):
        found = getattr(columns, name)(x, np.empty_like(x)).tolist()
    function = getattr(arithmetic, name)
    assert all(equal(f, function(v)) for f, v in zip(found, x.tolist(), strict=True))


@pytest.mark.parametrize("name", ["divide", "power"])
def test_functions_of_two(name):
    grid = [(a, b) for a in SPECIAL for b in SPECIAL]
    x = np.concatenate([[a for a, _ in grid], samples(2), np.abs(samples(3))])
    small = np.random.default_rng(5).uniform(-4, 4, 40_000 + len(SPECIAL))
    y = np.concatenate([[b for _, b in grid], samples(4), small])
    with np.errstate(all="ignore"):
        found = getattr(columns, name)(x, y, np.empty_like(x)).tolist()
    function = getattr(arithmetic, name)
    assert all(equal(f, function(a, b)) for f, a, b in zip(found, x.tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize(("name", "yardstick"), [("exp", np.exp), ("log", np.log), ("log2", np.log2)])
def test_numpy_is_the_yardstick(name, yardstick):
    x = samples(6)
    with np.errstate(all="ignore"):
        wanted = yardstick(x)
        found = np.array([getattr(arithmetic, name)(v) for v in x.tolist()])
    special = ~np.isfinite(wanted)
    np.testing.assert_array_equal(found[special], wanted[special])
    normal = ~special & (np.abs(wanted) > 1e-300)
    np.testing.assert_allclose(found[normal], wanted[normal], rtol=1e-15 if name == "exp" else 5e-16)
    np.testing.assert_allclose(found[~special & ~normal], wanted[~special & ~normal], atol=1e-300)


def test_the_normal_distribution():
    for z in np.linspace(-30, 8, 5001).tolist():
        assert arithmetic.normal_cdf(z) == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), rel=1e-12)
    assert (arithmetic.normal_cdf(math.inf), arithmetic.normal_cdf(-math.inf)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (1.0, 0.0, math.inf), (1.0, -0.0, math.inf), (-1.0, 0.0, -math.inf), (0.0, 0.0, math.nan),
        (math.nan, 0.0, math.nan),
    ],
)  # fmt: skip
def test_division_by_zero(x, y, wanted):
    assert equal(arithmetic.divide(x, y), wanted)


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (-8.0, 1 / 3, math.nan), (0.0, -1.0, math.inf), (-0.0, -1.0, math.inf), (10.0, 400.0, math.inf),
        (-10.0, 401.0, -math.inf), (math.nan, 0.0, 1.0), (3.0, 2.0, 9.0), (10.0, -400.0, 0.0),
    ],
)  # fmt: skip
def test_powers(x, y, wanted):
    assert equal(arithmetic.power(x, y), wanted)


def test_min_and_max_pass_nan_on():
    for f in (arithmetic.minimum, arithmetic.maximum):
        assert math.isnan(f(math.nan, 1.0))
        assert math.isnan(f(1.0, math.nan))
    assert arithmetic.clamp(5.0, 0.0, 2.0) == 2.0
    assert math.isnan(arithmetic.clamp(math.nan, 0.0, 2.0))


def test_rounding_of_what_is_no_number():
    assert math.isnan(arithmetic.floor(math.nan))
    assert arithmetic.ceil(-math.inf) == -math.inf
    assert arithmetic.floor(-1.5) == -2.0
