"""The tables of docs/results.md, from the figures that `run` kept. Seconds; intervals are t-intervals at 95 %."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.real.cases import SYSTEMS
from benchmarks.real.run import FIGURES, RESULTS
from lamps_cli.measuring.apart import apart, at_other_speeds, words
from lamps_cli.measuring.runs_file import described
from lamps_cli.measuring.view import AXES
from lamps_cli.metrics import BySeed, cell, compared, ratio, rows

VERDICT = RESULTS / "verdict.json"
NOT_MEASURED = "*Not measured in this version: `make results`.*"
SHOWN = {
    "without_tools_s.mean": "without tools' time, mean",
    "without_tools_s.p50": "p50",
    "without_tools_s.p95": "p95",
    "without_tools_s.p99": "p99",
    "without_tools_s.max": "max",
    "end_to_end_s.mean": "end to end, mean",
    "ttft_session_s.mean": "first token of a session, mean",
    "ttft_turn_s.mean": "of a turn, mean",
    "ttft_turn_s.p99": "of a turn, p99",
    "output_tokens_per_s": "tokens/s",
    "preemptions": "preemptions",
    "prefix_hit_rate": "prefix hit rate",
}
Question = Mapping[str, Any]


def made(name: str) -> str:
    """All of a question: what was run, by whom, a table for each load."""
    question = _known(FIGURES).get(name)
    if question is None or not any("figures" in run for run in question["runs"]):
        return NOT_MEASURED
    return "\n\n".join(_parts(question))


def verdict() -> str:
    """What `benchmarks.verdict` found, as a table."""
    if not VERDICT.exists():
        return "*Not measured in this version: `python -m benchmarks.verdict`.*"
    known = json.loads(VERDICT.read_text())
    titles = dict(rows())
    lines = [["stock against", "metric", "ratio, 95 %", "verdict"], ["---"] * 4]
    for name, said in (("itself", "again"), ("a scheduler slowed by 5 %", "slowed")):
        for one in known[said]["verdicts"]:
            low, high = one["ratio"] / one["spread"], one["ratio"] * one["spread"]
            between = f"{one['ratio']:.3f} ({low:.3f} to {high:.3f})"
            lines.append([name, titles[one["metric"]].strip(), between, one["call"]])
    machine = known["machine"]
    about = f"{known['seeds']} seeds, {known['clients']} clients, {machine['processor']}, {machine['cores']} cores."
    return "\n".join([about, "", *(f"| {' | '.join(line)} |" for line in lines)])


def page(model: str, figures: Path) -> str:
    """A page of its own, for a model of the reader's."""
    parts = [f"# {model} under policies", "Made by `make results MODEL=...`; ratios are to the first system."]
    for question in _known(figures).values():
        parts += [f"## {question['title']}", *_parts(question)]
    return "\n\n".join(parts) + "\n"


@cache
def _known(path: Path) -> Mapping[str, Question]:
    return json.loads(path.read_text()) if path.exists() else {}


def figures_of(name: str) -> Question | None:
    """What was kept of a question."""
    return _known(FIGURES).get(name)


def by_system(question: Question, at: float) -> dict[str, BySeed]:
    """The figures at one point, by system and seed; what was unknown is NaN. Runs turn, systems keep their order: the
    first is what others are compared with."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run in question["runs"]:
        if run["at"] == at and "figures" in run:
            known = {name: math.nan if value is None else value for name, value in run["figures"].items()}
            found.setdefault(run["system"], {})[run["seed"]] = known
    return {name: found[name] for name in SYSTEMS if name in found}


def places(question: Question) -> list[float]:
    """The points at which something was measured."""
    return sorted({run["at"] for run in question["runs"] if "figures" in run})


def _parts(question: Question) -> Iterator[str]:
    yield from _facts(question)
    for at in places(question):
        yield f"**{_place(question, at)}**"
        yield _table(by_system(question, at))


def _facts(question: Question) -> Iterator[str]:
    whole = [run for run in question["runs"] if "figures" in run]
    first = whole[0]
    load = first["load"]
    about = [f"`{question['trace']}`, {load['sessions'] or 'all'} sessions"]
    about += [f"gaps x {load['gap_scale']:g}"] if load["gap_scale"] != 1 else []
    about += [f"gaps <= {load['max_gap_s']:g} s"] if load["max_gap_s"] is not None else []
    about += [f"lengths x {load['length_scale']:g}"] if load["length_scale"] != 1 else []
    about += [f"model `{first['model']}`, `{' '.join(first['flags'])}`"]
    if question["saturation_per_s"]:
        about.append(f"load 1 is {question['saturation_per_s']:.2f} sessions/s")
    yield ", ".join(about) + "."
    makers = dict.fromkeys(_maker(run) for run in whole)
    yield f"Measured by {'; '.join(makers)}."
    furthest, span = apart((_common(run), run["began"]) for run in whole)
    if span:
        yield f"Runs that stand beside each other began {words(span)} apart at most ({furthest})."
    if unlike := at_other_speeds((_common(run), run["system"], run.get("work_ms")) for run in whole):
        yield f"{unlike[0].upper()}{unlike[1:]}."
    disturbed, partial = [run for run in whole if run["disturbed"]], [run for run in question["runs"] if run["partial"]]
    if disturbed:
        yield f"The machine wasn't calm during {len(disturbed)} of {len(whole)} runs: {_named(disturbed)}."
    if partial:
        yield f"Partial, and not in the tables: {_named(partial)}."


def _common(run: Mapping[str, Any]) -> str:
    return f"at {run['at']:g}, seed {run['seed']}"


def _maker(run: Mapping[str, Any]) -> str:
    made, machine = run["made_by"], run["made_by"]["machine"]
    plain = {name: value for name, value in made.items() if name != "revision"}
    return f"{described(plain)} on {machine['processor']}, {machine['cores']} cores, {run['began'][:10]}"


def _named(runs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{run['system']} at {run['at']:g}, seed {run['seed']}" for run in runs)


def _place(question: Question, at: float) -> str:
    return f"{AXES[question['by']]}: {at:g}"


def _table(systems: Mapping[str, BySeed]) -> str:
    """A row for each system, in brackets its ratio to the first."""
    first = next(iter(systems.values()))
    columns = {name: compared(runs, first) for name, runs in systems.items()}
    shown = [key for key in SHOWN if any(not math.isnan(column[key][0].mean) for column in columns.values())]
    lines = [["", "seeds", *(SHOWN[key] for key in shown)]]
    lines.append(["---"] * len(lines[0]))
    for name, column in columns.items():
        cells = [cell(column[key][0]) + ("" if systems[name] is first else _beside(column[key][1])) for key in shown]
        lines.append([name, str(len(systems[name])), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _beside(to_first: Any) -> str:
    return "" if math.isnan(to_first.mean) else f" ({ratio(to_first)})"
