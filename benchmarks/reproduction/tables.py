"""The tables of docs/reproduction.md, made from what `run` measured. Seconds; intervals are t-intervals at 95 %."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.reproduction import run
from benchmarks.reproduction.cases import INFERCEPT, LAMPS, SEEDS, STOCK, SYSTEMS, Case, questions
from lamps_cli.metrics import Estimate, cell, estimate

Line = Mapping[str, Any]
Found = Mapping[tuple[str, str, float, str], Mapping[int, Line]]
"""Lines by (trace, profile, load, system), then by seed."""

METRICS = {
    "end to end, mean": ("all", "end_to_end_s", "mean"),
    "end to end, p99": ("all", "end_to_end_s", "p99"),
    "without tools' time, mean": ("all", "without_tools_s", "mean"),
    "without tools' time, p99": ("all", "without_tools_s", "p99"),
    "first token of a turn, mean": ("all", "ttft_turn_s", "mean"),
    "first token of a turn, p99": ("all", "ttft_turn_s", "p99"),
    "tokens a second": ("output_tokens_per_s",),
}
# The columns of the goal of bounded_tail: none may be above stock's.
TAILS = {
    "without tools' time, mean": ("all", "without_tools_s", "mean"),
    "p50": ("all", "without_tools_s", "p50"),
    "p95": ("all", "without_tools_s", "p95"),
    "p99": ("all", "without_tools_s", "p99"),
    "max": ("all", "without_tools_s", "max"),
    "first token of a turn, mean": ("all", "ttft_turn_s", "mean"),
    "turn p99": ("all", "ttft_turn_s", "p99"),
}


def made(question: str) -> str:
    """All tables of a question, as Markdown."""
    lines = _found(question)
    if not lines:
        return "*Not measured yet: `make reproduce`.*"
    match question:
        case "comparison":
            return "\n\n".join(_comparison(lines))
        case "goal":
            return "\n\n".join(against(lines, TAILS))
        case _:
            return "\n\n".join(against(lines, METRICS))


def claims() -> str:
    """LAMPS against InferCept at every load, counted both ways."""
    lines = _found("comparison")
    if not lines:
        return "*Not measured yet: `make reproduce`.*"
    rows = []
    for trace, profile, load, system in lines:
        if system != LAMPS.name:
            continue
        theirs = lines.get((trace, profile, load, INFERCEPT.name), {})
        mine = lines[trace, profile, load, system]
        cells = [
            _change(mine, theirs, (counted, metric, part))
            for metric in ("end_to_end_s", "ttft_s")
            for part in ("mean", "p99")
            for counted in ("all", "window")
        ]
        rows.append((trace, profile, f"{load:g}", *cells))
    head = ("trace", "engine", "load")
    kinds = [f"{m}, {p}, {c}" for m in ("end to end", "TTFT") for p in ("mean", "p99") for c in ("all", "window")]
    return _table((*head, *kinds), rows)


def _comparison(lines: Found) -> Iterable[str]:
    for trace, profile in sorted({(trace, profile) for trace, profile, _, _ in lines}):
        loads = sorted({load for t, p, load, _ in lines if (t, p) == (trace, profile)})
        yield f"### {trace} on {profile}"
        for title, path in METRICS.items():
            rows = [
                (system, *(cell(_estimate(lines.get((trace, profile, load, system), {}), path)) for load in loads))
                for system in _systems(lines)
            ]
            yield _table((f"**{title}**", *(f"load {load:g}" for load in loads)), rows)


def against(lines: Found, metrics: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """A table for each trace, engine and load: every system, in brackets its ratio to stock vLLM, seed by seed."""
    for trace, profile, load in dict.fromkeys((t, p, load) for t, p, load, _ in lines):
        here = {system: lines[t, p, at, system] for t, p, at, system in lines if (t, p, at) == (trace, profile, load)}
        rows = [
            (system, *(_with_ratio(runs, here.get(STOCK.name, {}), path) for path in metrics.values()))
            for system, runs in here.items()
        ]
        yield f"**{trace} on {profile}, load {load:g}**"
        yield _table(("", *metrics), rows)


def _found(question: str) -> Found:
    """The lines of a question that were measured with today's policies, in the order of its cases."""
    return lines_of(_cases(question), run.known())


def lines_of(cases: Iterable[Case], known: Mapping[str, Line]) -> Found:
    """Those of *cases* that are among *known*."""
    found: dict[tuple[str, str, float, str], dict[int, Line]] = defaultdict(dict)
    for case in cases:
        line = known.get(run.name(run.key(case)))
        if line is not None:
            found[case.trace, case.profile, case.load, case.system.name][case.seed] = line
    return found


def _cases(question: str) -> Iterable[Case]:
    return sorted(
        next(q for q in questions() if q.name == question).cases, key=lambda c: (c.trace, c.profile, c.load, c.seed)
    )


def _systems(lines: Found) -> list[str]:
    return list(dict.fromkeys(system for *_, system in lines))


def value(line: Line, path: Sequence[str]) -> float:
    """What a line says; NaN where it says nothing."""
    found: Any = line
    for word in path:
        found = found[word]
    return math.nan if found is None else float(found)


def _estimate(runs: Mapping[int, Line], path: Sequence[str]) -> Estimate:
    return estimate([value(line, path) for line in runs.values()])


def _ratios(mine: Mapping[int, Line], theirs: Mapping[int, Line], path: Sequence[str]) -> list[float]:
    pairs = [(value(mine[s], path), value(theirs[s], path)) for s in SEEDS if s in mine and s in theirs]
    return [a / b for a, b in pairs if b]


def _with_ratio(runs: Mapping[int, Line], first: Mapping[int, Line], path: Sequence[str]) -> str:
    ratios = _ratios(runs, first, path)
    text = cell(_estimate(runs, path))
    return text if runs is first or not ratios else f"{text} ({estimate(ratios).mean:.2f})"


def _change(mine: Mapping[int, Line], theirs: Mapping[int, Line], path: Sequence[str]) -> str:
    ratios = _ratios(mine, theirs, path)
    return f"{estimate(ratios).mean - 1:+.0%}" if ratios else "-"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |", *body])


def systems() -> str:
    """What is compared: name, policy, what its scheduler is told."""
    rows = [
        (s.name, f"`{s.policy.rpartition('/')[2]}`", "nothing" if s.policy.startswith("stock") else s.predict)
        for s in SYSTEMS
    ]
    return _table(("system", "policy", "predictions"), rows)
