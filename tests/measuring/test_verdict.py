"""The verdict on made-up data: how often it is wrong, what it sees, and its parts against known values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamps_cli.measuring.student import two_sided
from lamps_cli.measuring.verdict import JUDGED, Rules, Sides, failures, holm, judged

# Of a real server: two of one policy differ by 4 % from start to start, p99 by more.
NOISE = {
    "without_tools_s.mean": 0.04,
    "without_tools_s.p99": 0.08,
    "ttft_turn_s.mean": 0.06,
    "output_tokens_per_s": 0.03,
}


def runs(draw: random.Random, seeds: int, slower: float = 1.0) -> dict[int, dict[str, float]]:
    """Figures with a part that belongs to the seed and a part that is chance."""
    found = {}
    for seed in range(seeds):
        of_seed = random.Random(seed).gauss(0, 0.3)
        values = {name: math.exp(of_seed + draw.gauss(0, noise)) for name, noise in NOISE.items()}
        values = {
            name: value / slower if name == "output_tokens_per_s" else value * slower for name, value in values.items()
        }
        found[seed] = values | {"finished": 100.0, "failed": 0.0}
    return found


def calls(draw: random.Random, seeds: int, slower: float) -> dict[str, str]:
    found = judged([Sides("x", runs(draw, seeds), runs(draw, seeds, slower))], Rules())
    return {verdict.metric: verdict.call for verdict in found}


@pytest.mark.parametrize(
    ("t", "freedom", "chance"),
    # Tables of Student's distribution.
    [(12.706, 1, 0.05), (4.303, 2, 0.05), (3.182, 3, 0.05), (2.776, 4, 0.05), (2.228, 10, 0.05), (2.101, 18, 0.05),
     (4.604, 4, 0.01), (3.250, 9, 0.01), (1.984, 100, 0.05)],
)  # fmt: skip
def test_student(t: float, freedom: int, chance: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(chance, rel=2e-3)
    assert two_sided(-t, freedom) == two_sided(t, freedom)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 200))
def test_student_falls_from_one_to_nothing(a: float, b: float, freedom: int) -> None:
    low, high = sorted((a, b))
    assert 0 <= two_sided(high, freedom) <= two_sided(low, freedom) + 1e-12 <= 1 + 1e-12
    assert two_sided(0, freedom) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_holm_is_between_bonferroni_and_none(chances: list[float], level: float) -> None:
    found = holm(chances, level)
    for chance, significant in zip(chances, found, strict=True):
        assert significant <= (chance <= level)
        assert significant >= (chance <= level / len(chances))
    assert holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert holm([0.02, 0.04, 0.001], 0.05) == [True, True, True]
    assert holm([0.03, 0.04, 0.001], 0.05) == [False, False, True]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_same_code_is_called_different_in_one_of_twenty_at_most(seeds: int) -> None:
    draw = random.Random(seeds)
    wrong = sum(bool({"worse", "better"} & set(calls(draw, seeds, 1.0).values())) for _ in range(600))
    assert wrong <= 600 * 0.05 + 3 * math.sqrt(600 * 0.05 * 0.95)


def test_five_percent_are_seen_with_twelve_seeds() -> None:
    draw = random.Random(7)
    seen = sum("worse" in calls(draw, 12, 1.05).values() for _ in range(300))
    assert seen >= 270


def test_a_large_change_is_seen_with_three_seeds_and_has_its_direction() -> None:
    draw = random.Random(8)
    assert sum("worse" in calls(draw, 3, 2.0).values() for _ in range(100)) >= 95
    assert sum("better" in calls(draw, 3, 0.5).values() for _ in range(100)) >= 95
    found = calls(random.Random(9), 10, 2.0)
    assert found == dict.fromkeys(JUDGED, "worse")


def test_a_change_too_small_to_matter_is_the_same() -> None:
    first = {seed: dict.fromkeys(JUDGED, 1.0 + seed) for seed in range(5)}
    second = {seed: {name: value * 1.01 for name, value in values.items()} for seed, values in first.items()}
    assert {verdict.call for verdict in judged([Sides("x", first, second)], Rules())} == {"same"}
    assert {verdict.call for verdict in judged([Sides("x", first, second)], Rules(least=0.005))} == {"worse", "better"}


def test_wide_intervals_are_unclear() -> None:
    first = {seed: {"ttft_turn_s.mean": 1.0} for seed in range(3)}
    second = {seed: {"ttft_turn_s.mean": value} for seed, value in enumerate((0.8, 1.3, 1.1))}
    (verdict,) = judged([Sides("x", first, second)], Rules())
    assert verdict.call == "unclear"
    assert verdict.ratio == pytest.approx((0.8 * 1.3 * 1.1) ** (1 / 3))


def test_what_is_unknown_is_not_judged() -> None:
    first = {seed: {"ttft_turn_s.mean": 1.0, "without_tools_s.mean": math.nan} for seed in range(3)}
    assert [verdict.metric for verdict in judged([Sides("x", first, first)], Rules())] == ["ttft_turn_s.mean"]


def test_lost_sessions_are_told() -> None:
    fine = {0: {"finished": 100.0, "failed": 0.0}, 1: {"finished": 100.0, "failed": 0.0}}
    bad = {0: {"finished": 90.0, "failed": 10.0}, 1: {"finished": 100.0, "failed": 0.0}}
    assert failures([Sides("x", fine, bad)], 0.02) == ["x: 10 of 200 sessions failed, 0 before"]
    assert failures([Sides("x", fine, bad)], 0.06) == []
    assert failures([Sides("x", bad, fine)], 0.02) == []
