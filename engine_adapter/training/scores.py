"""How well lengths are foretold, on sessions that nobody was trained on: the model, the online statistics, two rivals.

The rivals are what a system without a predictor would take: the mean of the turn's class in training (what the last
call was and how long the first prompt was, as `runtime.predictor` has classes) and the session's last value.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine_adapter.runtime.length_inputs import Floats
from engine_adapter.runtime.length_model import LengthModel
from engine_adapter.runtime.past import USER
from engine_adapter.training.samples import Sample
from policy_dsl.prediction import Dist

QUANTILES = ("p50", "p90", "p95", "p99")
# Turns whose pairs are compared: 2,000,000 pairs.
_RANKED = 2000
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Score:
    """*mae*, *rmse*: of the mean, tokens. *tau*: Kendall's tau-b of the order by it. *ordered*: share of pairs of
    different length that it puts in their order, ties counting half. *within*: share of lengths that were not above the
    predicted quantile, by its name; empty where none is predicted."""

    mae: float
    rmse: float
    tau: float
    ordered: float
    within: dict[str, float]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of *turns* in *sessions*. *lengths*: by predictor. *calls*: Brier score of the chance of a call, by predictor:
    the mean squared difference from what happened. *tools*: share of calls whose tool was foretold as the likeliest."""

    sessions: int
    turns: int
    mean: float
    lengths: dict[str, Score]
    calls: dict[str, float]
    tools: float | None

    def document(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def scores(model: LengthModel, train: Sequence[Sample], test: Sequence[Sample], sessions: int) -> Scores:
    """Of *test*, which is of so many *sessions*; the rivals know *train*. ValueError for no turns."""
    if not test:
        raise ValueError("there is no turn to be judged by")
    actual = np.array([sample.output for sample in test], dtype=np.float64)
    foretold = [
        answer
        for start in range(0, len(test), _BATCH)
        for answer in model.foretell([sample.case for sample in test[start : start + _BATCH]])
    ]
    class_mean = class_means(train)
    usual = float(np.mean([sample.output for sample in train])) if train else 0.0
    lengths = {
        "learned": _of_dists(actual, [answer.output for answer in foretold]),
        "online": _of_dists(actual, [sample.online for sample in test]),
        "class mean": score(actual, np.array([class_mean(sample) for sample in test])),
        "last value": score(actual, np.array([(*[usual], *sample.case.past.outputs)[-1] for sample in test])),
    }
    called = np.array([sample.tool != USER for sample in test], dtype=np.float64)
    offered = np.array([sample.case.may_call for sample in test])
    calls, tools = {}, None
    if offered.any():
        learned = np.array([answer.chance for answer in foretold])
        online = np.array([sample.online_chance for sample in test])
        calls = {"learned": _brier(learned, called, offered), "online": _brier(online, called, offered)}
    named = [
        (sample.tool, answer.tools)
        for sample, answer in zip(test, foretold, strict=True)
        if sample.tool != USER and answer.tools
    ]
    if named:
        tools = sum(tool == max(chances, key=chances.__getitem__) for tool, chances in named) / len(named)
    return Scores(sessions, len(test), float(actual.mean()), lengths, calls, tools)


def class_means(train: Sequence[Sample]) -> Callable[[Sample], float]:
    """The mean length of a turn's class in *train*, else of the wider class; 0 where nothing is known."""
    sums: dict[tuple[object, ...], tuple[float, int]] = {}
    for sample in train:
        for key in _classes(sample):
            total, count = sums.get(key, (0.0, 0))
            sums[key] = total + sample.output, count + 1

    def mean(sample: Sample) -> float:
        for key in _classes(sample):
            if key in sums:
                return sums[key][0] / sums[key][1]
        return 0.0

    return mean


def _classes(sample: Sample) -> tuple[tuple[object, ...], ...]:
    """Narrowest first."""
    past = sample.case.past
    last = past.tools[-1] if past.tools else ""
    return (last, past.opening.bit_length()), (last,), ()


def score(actual: Floats, means: Floats, within: dict[str, float] | None = None) -> Score:
    """Of lengths that were *actual* and foretold as *means*."""
    wrong = means - actual
    tau, ordered = _order(actual, means)
    return Score(float(np.abs(wrong).mean()), float(np.sqrt((wrong**2).mean())), tau, ordered, within or {})


def _of_dists(actual: Floats, foretold: Sequence[Dist]) -> Score:
    within = {
        name: float(np.mean([value <= one.stat(name) for value, one in zip(actual, foretold, strict=True)]))
        for name in QUANTILES
    }
    return score(actual, np.array([one.mean for one in foretold]), within)


def _order(actual: Floats, means: Floats) -> tuple[float, float]:
    """Kendall's tau-b, and the share of pairs in order; NaN where all are alike."""
    if len(actual) > _RANKED:
        chosen = random.Random(0).sample(range(len(actual)), _RANKED)
        actual, means = actual[chosen], means[chosen]
    upper = np.triu_indices(len(actual), 1)
    one = np.sign(actual[:, None] - actual[None, :])[upper]
    other = np.sign(means[:, None] - means[None, :])[upper]
    agreement = float((one * other).sum())
    pairs, told = float(np.abs(one).sum()), float(np.abs(other).sum())
    tau = agreement / np.sqrt(pairs * told) if pairs and told else float("nan")
    return float(tau), (agreement / pairs + 1.0) / 2.0 if pairs else float("nan")


def _brier(chance: Floats, called: Floats, offered: Floats) -> float:
    return float(((chance - called) ** 2)[offered].mean())


def parsed(document: dict[str, Any]) -> Scores | None:
    """What `Scores.document` made; None where a model brings none."""
    if not document:
        return None
    lengths = {name: Score(**values) for name, values in document["lengths"].items()}
    return Scores(**{**document, "lengths": lengths})
