"""The figures of a comparison in virtual time: means over seeds, intervals, ratios, as a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine_adapter.workload.summary import Spread, as_document, summarize
from lamps_cli.load_options import describe_arrivals, describe_scales

if TYPE_CHECKING:
    from engine_adapter.virtual.simulate import SimResult
    from lamps_cli.comparison import Comparison, Run

# Student's t, two-sided 95 %, by degrees of freedom (any table of it); above them the normal distribution, widened.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_SPREADS = {
    "end_to_end_s": "end to end, s",
    "without_tools_s": "without tools' time, s",
    "ttft_session_s": "first token, session, s",
    "ttft_turn_s": "first token, turn, s",
}
_SINGLE = {
    "finished": "sessions finished",
    "failed": "sessions failed",
    "output_tokens_per_s": "tokens/s generated",
    "preemptions": "preemptions",
    "recomputed_tokens": "tokens computed again",
    "prefix_hit_rate": "prefix hit rate",
    "tenant_fairness": "Jain's index, tenants",
}


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


def figures(result: SimResult) -> dict[str, float]:
    """The metrics of one run by name, as end_to_end_s.p99; NaN for what isn't known."""
    summary = summarize(result.result)
    found: dict[str, float] = {}
    for name in _SINGLE:
        value = getattr(summary, name)
        found[name] = math.nan if value is None else float(value)
    found["preemptions"] = result.counters.get("preemptions", 0.0)  # a count that never rose isn't there
    for name in _SPREADS:
        spread: Spread = getattr(summary, name)
        found |= {f"{name}.{part}": getattr(spread, part) for part in ("mean", "p50", "p95", "p99", "max")}
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


def table(policies: Mapping[str, BySeed]) -> str:
    """One load: a row for each metric, a column for each policy, the first one's ratios left out."""
    first = next(iter(policies.values()))
    columns = {name: compared(runs, first) for name, runs in policies.items()}
    lines = [f"{'':<26}" + "".join(f"{name:>{20 if not i else 36}}" for i, name in enumerate(columns))]
    rows = list(_SINGLE.items())
    rows[2:2] = [(f"{n}.{p}", f"{t} {p}") for n, t in _SPREADS.items() for p in ("mean", "p50", "p95", "p99", "max")]
    for name, title in rows:
        cells = [column.get(name) for column in columns.values()]
        if all(cell is None or math.isnan(cell[0].mean) for cell in cells):
            continue
        text = f"{title:<28}"
        for index, cell in enumerate(cells):
            own = "-" if cell is None else _cell(cell[0])
            text += f"{own:>18}" if not index else f"{own:>18}{'' if cell is None else _ratio(cell[1]):>18}"
        lines.append(text.rstrip())
    return "\n".join(lines)


def _cell(value: Estimate) -> str:
    if math.isnan(value.mean):
        return "-"
    return _number(value.mean) + ("" if math.isnan(value.half) else f" ±{_number(value.half)}")


def _ratio(value: Estimate) -> str:
    if math.isnan(value.mean):
        return "-"
    return f"x{value.mean:.2f}" + ("" if math.isnan(value.half) else f" ±{value.half:.2f}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def render(comparison: Comparison) -> str:
    """The tables of all loads."""
    question, saturation = comparison.question, comparison.saturation
    title = f"{question.trace.name} on {question.profile.name}"
    blocks = [title + (f", saturation {saturation:.2f} sessions/s" if saturation else "")]
    for share in dict.fromkeys(run.share for run in comparison.done):
        here = [run for run in comparison.done if run.share == share]
        found = [(run, figures(run.result)) for run in here if run.result is not None]
        policies = {run.policy: {r.seed: f for r, f in found if r.policy == run.policy} for run in here}
        blocks.append(f"{_head(here, comparison)}\n{table(policies)}")
    return "\n\n".join(blocks)


def _head(runs: Sequence[Run], comparison: Comparison) -> str:
    """Load, seeds and predictions of one table; PARTIAL where runs are missing."""
    share, load, question = runs[0].share, runs[0].simulation.load, comparison.question
    seeds = len({run.seed for run in runs})
    wanted = sum(run.share == share for run in comparison.runs)
    oracle = "ORACLE " if question.predict.startswith(("oracle", "noise")) else ""
    parts = [] if share is None else [f"load {share:g}"]
    parts += [describe_arrivals(load.arriving, round(load.rate, 4)), *describe_scales(load)]
    parts += [f"{seeds} seed{'s' * (seeds != 1)}", f"{oracle}predictions {question.predict}"]
    parts += [f"PARTIAL: {len(runs)} of {wanted} runs"] if len(runs) < wanted else []
    return ", ".join(parts)


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values for JSON, run by run."""
    question = comparison.question
    return {
        "trace": question.trace.name,
        "profile": question.profile.name,
        "predict": question.predict,
        "saturation_per_s": comparison.saturation,
        "interrupted": comparison.interrupted,
        "runs": [_run(run, run.result) for run in comparison.done if run.result is not None],
        "lost": [
            {"policy": run.policy, "load": run.share, "seed": run.seed, "reason": run.lost}
            for run in comparison.runs
            if run.lost
        ],
    }


def _run(run: Run, result: SimResult) -> dict[str, Any]:
    head = {"policy": run.policy, "load": run.share, "seed": run.seed, "params": dict(run.simulation.params)}
    found = as_document(result.result) | {"reason": result.reason, "steps": result.steps}
    return head | found | {"load_options": asdict(run.simulation.load), "load": run.share}
