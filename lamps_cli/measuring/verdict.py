"""Whether one system is worse than another, beyond what chance explains: a verdict per metric.

Runs of one seed replay the same arrivals and token ids, so they are pairs: what is judged is the logarithm of their
ratio, seed by seed, by a t test. Many metrics at many loads are judged at once, and each could be wrong by chance:
Holm's method (Scandinavian Journal of Statistics 6, 1979) holds the chance that any is called different without being
so. A difference smaller than what matters is not called one, however sure it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lamps_cli.measuring.student import two_sided
from lamps_cli.metrics import BySeed, Estimate, estimate

Call = Literal["worse", "better", "same", "unclear"]
# What a change of the scheduler can move, one of a kind: more metrics would only make the test of each less sharp.
JUDGED = ("without_tools_s.mean", "without_tools_s.p99", "ttft_turn_s.mean", "output_tokens_per_s")
LARGER_IS_BETTER = ("finished", "output_tokens_per_s", "prefix_hit_rate", "tenant_fairness")
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """*confidence*: that nothing is called different by chance, all metrics together. *least*: the smallest change that
    matters, as a share. *metrics*: those that are judged."""

    confidence: float = 0.95
    least: float = 0.02
    metrics: tuple[str, ...] = JUDGED


@dataclass(frozen=True, slots=True)
class Verdict:
    """One metric of one system at one point. *ratio*: the second's mean over the first's, its interval at 95 %
    multiplicative: from ratio/spread to ratio*spread. *chance*: that values alike differ so much, before Holm.

    *call*: "same" where a change that matters can be ruled out, "unclear" where it can be neither shown nor ruled out.
    """

    where: str
    metric: str
    first: Estimate
    second: Estimate
    ratio: float
    spread: float
    pairs: int
    chance: float
    call: Call = "unclear"


@dataclass(frozen=True, slots=True)
class Sides:
    """The figures of both by seed, at one point. Only the seeds of both are compared."""

    where: str
    first: BySeed
    second: BySeed

    @property
    def seeds(self) -> list[int]:
        return sorted(self.first.keys() & self.second.keys())


def judged(sides: Sequence[Sides], rules: Rules) -> list[Verdict]:
    """A verdict for each metric of each pair of sides that has the seeds for it."""
    found = [verdict for pair in sides for verdict in _measured(pair, rules.metrics)]
    significant = holm([verdict.chance for verdict in found], 1 - rules.confidence)
    return [
        replace(verdict, call=_call(verdict, different, rules.least))
        for verdict, different in zip(found, significant, strict=True)
    ]


def holm(chances: Sequence[float], level: float) -> list[bool]:
    """Which are significant, when the chance that any is so wrongly is to be at most *level*."""
    found = [False] * len(chances)
    for rank, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[place] > level / (len(chances) - rank):
            break
        found[place] = True
    return found


def failures(sides: Sequence[Sides], least: float) -> list[str]:
    """Where the second loses sessions that the first doesn't, by more than *least* of all: a sentence each."""
    said = []
    for pair in sides:
        lost, all_of = _lost(pair.first, pair.seeds), _lost(pair.second, pair.seeds)
        if all_of[0] - lost[0] > least * all_of[1]:
            said.append(f"{pair.where}: {all_of[0]:.0f} of {all_of[1]:.0f} sessions failed, {lost[0]:.0f} before")
    return said


def _lost(runs: BySeed, seeds: Sequence[int]) -> tuple[float, float]:
    """Sessions that failed, and all."""
    failed = math.fsum(runs[seed]["failed"] for seed in seeds)
    return failed, failed + math.fsum(runs[seed]["finished"] for seed in seeds)


def _measured(pair: Sides, metrics: Sequence[str]) -> Iterator[Verdict]:
    seeds = pair.seeds
    if len(seeds) < FEWEST:
        return
    for metric in metrics:
        first, second = ([runs[seed].get(metric, math.nan) for seed in seeds] for runs in (pair.first, pair.second))
        if not all(value > 0 and math.isfinite(value) for value in (*first, *second)):
            continue
        logs = [math.log(b / a) for a, b in zip(first, second, strict=True)]
        mean = estimate(logs)
        yield Verdict(
            pair.where,
            metric,
            estimate(first),
            estimate(second),
            math.exp(mean.mean),
            math.exp(mean.half),
            len(seeds),
            _chance(logs),
        )


def _chance(logs: Sequence[float]) -> float:
    """That values around nothing have such a mean."""
    mean, deviation = statistics.fmean(logs), statistics.stdev(logs)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    return two_sided(mean / deviation * math.sqrt(len(logs)), len(logs) - 1)


def _call(verdict: Verdict, different: bool, least: float) -> Call:
    smallest = math.log1p(least)
    change = math.log(verdict.ratio)
    if different and abs(change) >= smallest:
        larger_is_better = verdict.metric in LARGER_IS_BETTER
        return "better" if (change > 0) == larger_is_better else "worse"
    half = math.log(verdict.spread)
    return "same" if different or abs(change) + half <= smallest else "unclear"
