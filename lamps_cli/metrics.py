"""The metrics of runs that are compared: means over seeds, intervals, ratios paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine_adapter.workload.result import BenchResult
from engine_adapter.workload.summary import Spread, summarize

# Student's t, two-sided 95 %, by degrees of freedom (any table of it); above them the normal distribution, widened.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
SPREADS = {
    "end_to_end_s": "end to end, s",
    "without_tools_s": "without tools' time, s",
    "ttft_session_s": "first token, session, s",
    "ttft_turn_s": "first token, turn, s",
}
PARTS = ("mean", "p50", "p95", "p99", "max")
SINGLE = {
    "finished": "sessions finished",
    "failed": "sessions failed",
    "output_tokens_per_s": "tokens/s generated",
    "preemptions": "preemptions",
    "recomputed_tokens": "computed again, tokens",
    "recomputed_after_preemption": "  after preemption",
    "prefix_hit_rate": "prefix hit rate",
    "tenant_fairness": "Jain's index, tenants",
}
_COUNTED = ("preemptions", "recomputed_after_preemption")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds; *half* is that of its t-interval at 95 %, NaN with one seed."""

    mean: float
    half: float


def estimate(values: Sequence[float]) -> Estimate:
    """Of one value for each seed; NaN when there is none or one of them is NaN."""
    mean = math.fsum(values) / len(values) if values else math.nan
    if len(values) < 2 or math.isnan(mean):
        return Estimate(mean, math.nan)
    freedom = len(values) - 1
    t = _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.6 / freedom
    return Estimate(mean, t * statistics.stdev(values) / math.sqrt(len(values)))


def figures(result: BenchResult) -> dict[str, float]:
    """The metrics of one run by name, as end_to_end_s.p99; NaN for what isn't known."""
    summary = summarize(result)
    found: dict[str, float] = {}
    for name in SINGLE:
        value = getattr(summary, name, None)
        found[name] = math.nan if value is None else float(value)
    if result.counters is not None:
        found |= {name: result.counters.get(name, math.nan) for name in _COUNTED}
    for name in SPREADS:
        spread: Spread = getattr(summary, name)
        found |= {f"{name}.{part}": getattr(spread, part) for part in PARTS}
    return found


BySeed = Mapping[int, Mapping[str, float]]
"""The metrics of the runs of one policy at one load, by seed."""


def compared(runs: BySeed, first: BySeed) -> dict[str, tuple[Estimate, Estimate]]:
    """Each metric: its estimate, and that of its ratio to the first policy's, seed by seed where both have run."""
    names = next(iter(runs.values()), {})
    result = {}
    for name in names:
        pairs = [(runs[seed][name], first[seed][name]) for seed in sorted(runs) if seed in first]
        ratios = [mine / theirs for mine, theirs in pairs] if all(theirs for _, theirs in pairs) else []
        result[name] = estimate([run[name] for run in runs.values()]), estimate(ratios)
    return result


def rows() -> list[tuple[str, str]]:
    """(name, title) of every metric, in the order in which they are shown."""
    found = list(SINGLE.items())
    found[2:2] = [(f"{name}.{part}", f"{title} {part}") for name, title in SPREADS.items() for part in PARTS]
    return found


def cell(value: Estimate) -> str:
    """A mean with its interval."""
    if math.isnan(value.mean):
        return "-"
    return number(value.mean) + ("" if math.isnan(value.half) else f" ±{number(value.half)}")


def ratio(value: Estimate) -> str:
    """A ratio with its interval."""
    if math.isnan(value.mean):
        return "-"
    return f"x{value.mean:.2f}" + ("" if math.isnan(value.half) else f" ±{value.half:.2f}")


def number(value: float) -> str:
    """Three digits or so, as a person reads it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
