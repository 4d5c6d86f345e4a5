"""`first` and `chosen` against sorting all rows in plain Python."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from policy_dsl.order import chosen, first

VALUES = (0.0, -0.0, 1.0, 1.0, 2.0, -3.5, math.inf, -math.inf, math.nan)


def by_hand(keys, arrival, k, promoted=None, by=()):
    def place(i):
        ahead = promoted is not None and bool(promoted[i])
        made = []
        for column in by if ahead else keys:
            value = float(column[i])
            if math.isnan(value):
                made.append((1, 0.0))
                break
            made.append((0, value))
        return (not ahead, [*made, (2, arrival[i])] if made and made[-1][0] else [*made, (0, arrival[i])], i)

    return sorted(range(len(arrival)), key=place)[:k]


def case(seed: int, n: int, few: bool):
    random = Random(seed)

    def column():
        if few:
            return np.array([random.choice(VALUES) for _ in range(n)])
        return np.array([random.gauss(0, 1) if random.random() < 0.95 else math.nan for _ in range(n)])

    keys = tuple(column() for _ in range(random.randint(1, 3)))
    arrival = np.array([float(random.randint(0, 3)) if few else random.random() for _ in range(n)])
    share = random.choice([0.0, 0.01, 0.5, 1.0])
    promoted = random.choice([None, np.array([random.random() < share for _ in range(n)], np.bool_)])
    by = tuple(column() for _ in range(random.randint(0, 2)))
    return keys, arrival, promoted, by


@pytest.mark.parametrize("few", [True, False])
def test_small_queues(few):
    for seed in range(400):
        random = Random(seed)
        n = random.randint(1, 40)
        keys, arrival, promoted, by = case(seed, n, few)
        k = random.randint(0, n + 2)
        wanted = by_hand(keys, arrival, k, promoted, by)
        assert first(keys, arrival, k, promoted, by).tolist() == wanted, seed
        assert sorted(chosen(keys, arrival, k, promoted, by).tolist()) == sorted(wanted), seed


@pytest.mark.parametrize("few", [True, False])
def test_queues_of_some_hundreds(few):
    for seed in range(60):
        random = Random(seed)
        n = random.choice([100, 384, 385, 1_000])
        keys, arrival, promoted, by = case(seed, n, few)
        k = random.choice([1, 5, 64, n - 1, n])
        wanted = by_hand(keys, arrival, k, promoted, by)
        assert first(keys, arrival, k, promoted, by).tolist() == wanted, seed
        assert sorted(chosen(keys, arrival, k, promoted, by).tolist()) == sorted(wanted), seed


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("k", [1, 5, 64, 900])
def test_queues_of_a_thousand(few, k):
    for seed in range(20):
        keys, arrival, promoted, by = case(seed, 1_000, few)
        assert first(keys, arrival, k, promoted, by).tolist() == by_hand(keys, arrival, k, promoted, by), seed


@pytest.mark.parametrize("k", [1, 5, 64, 900])
def test_integers_with_many_ties(k):
    """Contexts and flags: no key is undefined, and the k-th is seldom alone."""
    for seed in range(20):
        random = Random(seed)
        whole = [np.array([float(random.randint(0, most)) for _ in range(1_000)]) for most in (0, 1, 7, 300)]
        keys = tuple(random.sample(whole, 3))
        arrival = np.array(random.sample(range(1_000), 1_000), float)
        assert first(keys, arrival, k).tolist() == by_hand(keys, arrival, k), seed


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("k", [1, 64, 3000])
def test_queues_that_are_sampled(few, k):
    for seed in range(3):
        keys, arrival, promoted, by = case(seed, 20_000, few)
        wanted = by_hand(keys, arrival, k, promoted, by)
        assert first(keys, arrival, k, promoted, by).tolist() == wanted
        assert sorted(chosen(keys, arrival, k, promoted, by).tolist()) == sorted(wanted)


def test_a_sample_that_misleads():
    """The rows that are looked at are the largest: the guess is far too high."""
    n = 50_000
    key = np.zeros(n)
    key[:: n // 1024] = 1.0
    arrival = np.arange(n, dtype=float)[::-1].copy()
    assert first((key,), arrival, 5).tolist() == by_hand((key,), arrival, 5)
    assert first((-key,), arrival, 5).tolist() == by_hand((-key,), arrival, 5)


def test_nan_comes_last_in_order_of_arrival_whatever_the_next_key():
    keys = (np.array([math.nan, math.nan, 1.0]), np.array([1.0, 0.0, 9.0]))
    assert first(keys, np.array([0.0, 1.0, 2.0]), 3).tolist() == [2, 0, 1]


def test_flags_are_ordered_and_zeros_are_equal():
    assert first((np.array([True, False, True]),), np.array([0.0, 1.0, 2.0]), 3).tolist() == [1, 0, 2]
    assert first((np.array([0.0, -0.0]),), np.array([0.0, 1.0]), 2).tolist() == [0, 1]


def test_nobody_waits():
    nothing = np.empty(0)
    assert first((nothing,), nothing, 5, np.empty(0, np.bool_)).tolist() == []


def test_many_equal_rows_fall_to_the_next_key():
    n = 60_000
    classes, arrival = np.repeat([1.0, 0.0], n // 2), np.random.default_rng(3).random(n)
    assert first((classes,), arrival, 9).tolist() == by_hand((classes,), arrival, 9)


def test_arrival_that_is_nan_ends():
    assert first((np.full(3, math.nan),), np.full(3, math.nan), 2).tolist() == [0, 1]
