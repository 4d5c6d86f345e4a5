"""The tables of docs/reproduction.md, made from what `run` measured. Seconds; intervals are t-intervals at 95 %."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from benchmarks.reproduction import run
from benchmarks.reproduction.behaviour import behaviour_of
from benchmarks.reproduction.cases import INFERCEPT, LAMPS, SEEDS, STOCK, SYSTEMS, By, Case, Question, questions
from lamps_cli.metrics import Estimate, cell, estimate

Line = Mapping[str, Any]
Found = Mapping[tuple[str, str, float, str], Mapping[int, Line]]
"""Lines by (trace, profile, load or rate, system), then by seed."""

NOT_MEASURED = "*Not measured in this version: `make reproduce`.*"
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
    "end to end, mean": ("all", "end_to_end_s", "mean"),
    "without tools' time, mean": ("all", "without_tools_s", "mean"),
    "p50": ("all", "without_tools_s", "p50"),
    "p95": ("all", "without_tools_s", "p95"),
    "p99": ("all", "without_tools_s", "p99"),
    "max": ("all", "without_tools_s", "max"),
    "first token of a turn, mean": ("all", "ttft_turn_s", "mean"),
    "turn p99": ("all", "ttft_turn_s", "p99"),
}


def made(name: str) -> str:
    """All tables of a question, as Markdown."""
    lines, by = found(name), _question(name).by
    if not lines:
        return NOT_MEASURED
    match name:
        case "comparison" | "loads":
            parts = _comparison(lines, by)
        case "goal":
            parts = against(lines, TAILS, by)
        case _:
            parts = against(lines, METRICS, by)
    return "\n\n".join((*_caveats(name, lines), *parts))


def _caveats(name: str, lines: Found) -> Iterator[str]:
    """What a reader must know of *lines*: that some are of other code, or that fewer were measured than asked for."""
    cases = _cases(name)
    today = {case.system.name: behaviour_of(case.system) for case in cases}
    older = {
        system
        for (*_, system), runs in lines.items()
        if next(iter(runs.values()))["case"]["behaviour"] != today[system]
    }
    if older:
        yield f"*{', '.join(sorted(older))}: of code that did otherwise. `make reproduce` measures it anew.*"
    missing = len(cases) - sum(map(len, lines.values()))
    if missing:
        yield f"*{missing} of {len(cases)} runs are still to be made: `make reproduce`.*"


def place(at: float, by: By) -> str:
    """A load or a rate, in words."""
    return f"load {at:g}" if by == "load" else f"{at:.3g} sessions/s"


def rates() -> str:
    """Sessions a second at load 1, as far as measured."""
    rows = {
        (trace, profile): f"{next(iter(runs.values()))['rate'] / load:.2f}"
        for question in questions()
        if question.by == "load"
        for (trace, profile, load, _), runs in found(question.name).items()
    }
    return _table(("trace", "engine", "sessions a second at load 1"), ((*which, rate) for which, rate in rows.items()))


def claims() -> str:
    """LAMPS against InferCept at every rate, counted both ways."""
    lines = found("comparison")
    if not lines:
        return NOT_MEASURED
    rows = []
    for (trace, profile, rate, system), mine in lines.items():
        if system != LAMPS.name:
            continue
        theirs = lines.get((trace, profile, rate, INFERCEPT.name), {})
        cells = [
            _change(mine, theirs, (counted, metric, part))
            for metric in ("end_to_end_s", "ttft_s")
            for part in ("mean", "p99")
            for counted in ("all", "window")
        ]
        rows.append((trace, profile, f"{rate:.3g}", *cells))
    head = ("trace", "engine", "sessions/s")
    kinds = [f"{m}, {p}, {c}" for m in ("end to end", "TTFT") for p in ("mean", "p99") for c in ("all", "window")]
    return "\n\n".join((*_caveats("comparison", lines), _table((*head, *kinds), rows)))


def _comparison(lines: Found, by: By) -> Iterable[str]:
    for trace, profile in sorted({(trace, profile) for trace, profile, _, _ in lines}):
        loads = sorted({load for t, p, load, _ in lines if (t, p) == (trace, profile)})
        yield f"### {trace} on {profile}"
        for title, path in METRICS.items():
            rows = [
                (system, *(cell(estimated(lines.get((trace, profile, load, system), {}), path)) for load in loads))
                for system in _systems(lines)
            ]
            yield _table((f"**{title}**", *(place(load, by) for load in loads)), rows)


def against(lines: Found, metrics: Mapping[str, Sequence[str]], by: By = "load") -> Iterable[str]:
    """A table for each trace, engine and place: every system, in brackets its ratio to stock vLLM, seed by seed."""
    for trace, profile, load in dict.fromkeys((t, p, load) for t, p, load, _ in lines):
        here = {system: lines[t, p, at, system] for t, p, at, system in lines if (t, p, at) == (trace, profile, load)}
        rows = [
            (system, *(_with_ratio(runs, here.get(STOCK.name, {}), path) for path in metrics.values()))
            for system, runs in here.items()
        ]
        yield f"**{trace} on {profile}, {place(load, by)}**"
        yield _table(("", *metrics), rows)


def found(question: str) -> Found:
    """The lines of a question that were measured with today's policies, in the order of its cases.

    All of a system are of code that did the same: of today's, and where it has none of the last code that measured it.
    """
    cases, known = _cases(question), _known()
    older = dict.fromkeys(line["case"]["behaviour"] for line in reversed(known.values()))
    mine: dict[str, Found] = {}
    for system in dict.fromkeys(case.system.name for case in cases):
        asked = [case for case in cases if case.system.name == system]
        mine[system] = next((lines for one in ("", *older) if (lines := lines_of(asked, known, one))), {})
    order = dict.fromkeys((case.trace, case.profile, case.at, case.system.name) for case in cases)
    return {place: mine[place[-1]][place] for place in order if place in mine[place[-1]]}


@cache
def _known() -> Mapping[str, Line]:
    """All that is measured: a page asks for it two dozen times."""
    return run.known()


def lines_of(cases: Iterable[Case], known: Mapping[str, Line], behaviour: str = "") -> Found:
    """Those of *cases* that are among *known*, measured by code of this *behaviour*, or by today's."""
    found: dict[tuple[str, str, float, str], dict[int, Line]] = defaultdict(dict)
    for case in cases:
        line = known.get(run.name(run.key(case, behaviour)))
        if line is not None:
            found[case.trace, case.profile, case.at, case.system.name][case.seed] = line
    return found


def _cases(name: str) -> list[Case]:
    return sorted(_question(name).cases, key=lambda c: (c.trace, c.profile, c.at, c.seed))


def _question(name: str) -> Question:
    return next(question for question in questions() if question.name == name)


def _systems(lines: Found) -> list[str]:
    return list(dict.fromkeys(system for *_, system in lines))


def value(line: Line, path: Sequence[str]) -> float:
    """What a line says; NaN where it says nothing."""
    found: Any = line
    for word in path:
        found = found[word]
    return math.nan if found is None else float(found)


def estimated(runs: Mapping[int, Line], path: Sequence[str]) -> Estimate:
    """Over the seeds that have run."""
    return estimate([value(line, path) for line in runs.values()])


def _ratios(mine: Mapping[int, Line], theirs: Mapping[int, Line], path: Sequence[str]) -> list[float]:
    pairs = [(value(mine[s], path), value(theirs[s], path)) for s in SEEDS if s in mine and s in theirs]
    return [a / b for a, b in pairs if b]


def ratio_to(first: Mapping[int, Line], runs: Mapping[int, Line], path: Sequence[str]) -> Estimate:
    """The ratio to *first*, seed by seed where both have run."""
    return estimate(_ratios(runs, first, path))


def _with_ratio(runs: Mapping[int, Line], first: Mapping[int, Line], path: Sequence[str]) -> str:
    ratio = ratio_to(first, runs, path).mean
    text = cell(estimated(runs, path))
    return text if runs is first or math.isnan(ratio) else f"{text} ({ratio:.2f})"


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
