"""The figures of a comparison in virtual time: means over seeds, intervals, ratios, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine_adapter.workload.summary import as_document
from lamps_cli.load_options import describe_arrivals, describe_scales
from lamps_cli.metrics import BySeed, compared, figures, ratio, rows
from lamps_cli.metrics import cell as written

if TYPE_CHECKING:
    from engine_adapter.virtual.simulate import SimResult
    from lamps_cli.comparison import Comparison, Run


def table(policies: Mapping[str, BySeed]) -> str:
    """One load: a row for each metric, a column for each policy; its ratios to the first beside all but that."""
    first = next(iter(policies.values()))
    columns = {name: compared(runs, first) for name, runs in policies.items()}
    wide = [max(20 if not index else 38, len(name) + 2) for index, name in enumerate(columns)]
    lines = [f"{'':<28}" + "".join(f"{name:>{width}}" for name, width in zip(columns, wide, strict=True))]
    for name, title in rows():
        cells = [column.get(name) for column in columns.values()]
        if all(cell is None or math.isnan(cell[0].mean) for cell in cells):
            continue
        text = f"{title:<28}"
        for index, (cell, width) in enumerate(zip(cells, wide, strict=True)):
            own = "-" if cell is None else written(cell[0])
            beside = "" if cell is None or not index else f"{ratio(cell[1]):>18}"
            text += f"{own:>{width - len(beside)}}{beside}"
        lines.append(text.rstrip())
    return "\n".join(lines)


def render(comparison: Comparison) -> str:
    """The tables of all loads."""
    question, saturation = comparison.question, comparison.saturation
    title = f"{question.trace.name} on {question.profile.name}"
    blocks = [title + (f", saturation {saturation:.2f} sessions/s" if saturation else "")]
    for share in dict.fromkeys(run.share for run in comparison.done):
        here = [run for run in comparison.done if run.share == share]
        found = [(run, figures(run.result.result)) for run in here if run.result is not None]
        policies = {run.policy: {r.seed: f for r, f in found if r.policy == run.policy} for run in here}
        blocks.append(f"{head(here, comparison)}\n{table(policies)}")
    return "\n\n".join(blocks)


def head(runs: Sequence[Run], comparison: Comparison) -> str:
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
