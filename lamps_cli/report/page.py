"""A comparison as one HTML file: figures, drawings, decisions, differences, and what was run. It needs no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine_adapter.workload.result import BenchResult, Sample, SessionResult
from lamps_cli.errors import Failure
from lamps_cli.metrics import BySeed, Estimate, cell, compared, estimate, figures, number, ratio, rows
from lamps_cli.report.difference import Difference
from lamps_cli.report.difference_view import calls, sentences, session_rows
from lamps_cli.report.pauses import with_paused

if TYPE_CHECKING:
    from lamps_cli.report.plots import Plot, Style

# Drawings over time are 20 KB each: of more policies than this only the first ones are drawn at each load.
MOST_OVER_TIME = 6
LOAD_AXIS = "load, as a share of saturation"
_LARGER_IS_BETTER = ("finished", "output_tokens_per_s", "prefix_hit_rate", "tenant_fairness")
_SWEPT = {
    "end_to_end_s.mean": "Session, end to end: mean",
    "end_to_end_s.p99": "Session, end to end: p99",
    "ttft_session_s.mean": "First token of a session: mean",
    "ttft_session_s.p99": "First token of a session: p99",
}
_DECIDED = {
    "runtime.decisions.preserve": "calls: KV preserved",
    "runtime.decisions.swap": "calls: KV swapped",
    "runtime.decisions.discard": "calls: KV discarded",
    "runtime.pins.used": "pins used by the follow-up",
    "runtime.pins.tokens_reused": "tokens reused by them",
    "runtime.pins.expired": "pins whose time was over",
    "runtime.pins.yielded_running": "pins yielded to a running request",
    "runtime.pins.yielded_idle": "pins yielded, as nothing ran",
    "runtime.pins.yielded_promoted": "pins yielded to a promoted request",
    "runtime.pins.shrunk": "pins shrunk",
    "runtime.swap.tokens_out": "tokens swapped out",
    "runtime.copies.tokens_reused": "tokens reused from host memory",
    "preemptions": "preemptions",
    "recomputed_after_call": "tokens computed again after a call",
    "recomputed_after_preemption": "tokens computed again after a preemption",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a report. *load*: a share of saturation, None where it isn't one; *timeline*: may be empty."""

    policy: str
    load: float | None
    seed: int
    result: BenchResult
    timeline: Sequence[Sample] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """*loads*: with a heading each; *facts*: what was run, (what, how); *warnings*: what a reader must know first.

    *axis*: what loads are, in words. The first policy of *ran* is the one that the others are compared with.
    """

    title: str
    loads: Mapping[float | None, str]
    ran: Sequence[Ran]
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str] = ()
    differences: Sequence[Difference] = ()
    axis: str = LOAD_AXIS


@dataclass(frozen=True, slots=True)
class Cell:
    """*verdict*: "better", "worse", or "" where the interval doesn't say."""

    value: str
    ratio: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """All of one load, ready to be laid out."""

    heading: str
    policies: tuple[str, ...]
    figures: tuple[Row, ...]
    decisions: tuple[Row, ...]
    distributions: tuple[Plot, ...]
    over_time: tuple[tuple[str, tuple[Plot, ...]], ...]
    seed: int


def need_packages() -> None:
    """Failure when the packages that draw and lay out aren't installed: asked before anything takes minutes."""
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise Failure(f"a report needs {package}", "pip install 'vllm-lamps[report]'")


def _without_tools(session: SessionResult) -> float | None:
    return None if session.end_to_end_s is None else session.end_to_end_s - session.tool_time_s


def _first_token(session: SessionResult) -> float | None:
    return session.turns[0].ttft_s if session.turns else None


_LATENCIES: tuple[tuple[str, Callable[[SessionResult], float | None]], ...] = (
    ("Session, end to end", lambda session: session.end_to_end_s),
    ("Session, without its tools' time", _without_tools),
    ("First token of a session", _first_token),
)


def html(report: Report) -> str:
    """The page. See `need_packages`."""
    import jinja2

    from lamps_cli.report import plots, svg

    policies = list(dict.fromkeys(ran.policy for ran in report.ran))
    style = plots.styles(policies)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lamps_cli.report", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.jinja").render(
        report=report,
        style=style,
        lines=svg.LINES,
        sections=[_section(report, load, place, style) for place, load in enumerate(report.loads)],
        sweeps=list(_sweeps(report, style)),
        differences=[(d, list(sentences(d)), list(calls(d)), list(session_rows(d))) for d in report.differences],
    )


# --- one load


def _section(report: Report, load: float | None, place: int, style: Mapping[str, Style]) -> _Section:
    here = [ran for ran in report.ran if ran.load == load]
    found = {name: {r.seed: figures(r.result) for r in here if r.policy == name} for name in style}
    found = {name: runs for name, runs in found.items() if runs}
    return _Section(
        heading=report.loads[load],
        policies=tuple(found),
        figures=tuple(_figures(found)),
        decisions=tuple(_decisions(here, list(found))),
        distributions=tuple(_distributions(here, place, style)),
        over_time=tuple(_over_time(here, place)),
        seed=min((ran.seed for ran in here), default=0),
    )


def _figures(policies: Mapping[str, BySeed]) -> Iterator[Row]:
    first = next(iter(policies.values()))
    columns = {name: compared(runs, first) for name, runs in policies.items()}
    for name, title in rows():
        cells = [column[name] for column in columns.values()]
        if not all(math.isnan(own.mean) for own, _ in cells):
            yield Row(title, tuple(_cell(name, own, to, n == 0) for n, (own, to) in enumerate(cells)))


def _cell(name: str, own: Estimate, to_first: Estimate, is_first: bool) -> Cell:
    if is_first or math.isnan(to_first.mean):
        return Cell(cell(own))
    known = not math.isnan(to_first.half) and abs(to_first.mean - 1) > to_first.half
    larger = to_first.mean > 1
    verdict = ("better" if larger == (name in _LARGER_IS_BETTER) else "worse") if known else ""
    return Cell(cell(own), ratio(to_first).replace("x", "×"), verdict)


def _decisions(here: Sequence[Ran], policies: Sequence[str]) -> Iterator[Row]:
    """Counts of decisions, means over seeds; what no run counted is left out."""
    for name, title in _DECIDED.items():
        values = {policy: [_count(r, name) for r in here if r.policy == policy] for policy in policies}
        if any(value for found in values.values() for value in found):
            cells = (estimate([math.nan if v is None else v for v in values[policy]]).mean for policy in policies)
            yield Row(title, tuple(Cell(_counted(mean)) for mean in cells))


def _counted(mean: float) -> str:
    """A mean of counts; whole where it is."""
    if math.isnan(mean):
        return "-"
    return f"{mean:,.0f}" if mean.is_integer() else number(mean)


def _count(ran: Ran, name: str) -> float | None:
    """What a run counted: a count that never rose isn't there. None where nobody counts."""
    counters = ran.result.counters
    if counters is None:
        return None
    if name.startswith("runtime.") and not any(known.startswith("runtime.") for known in counters):
        return None
    return counters.get(name, 0.0)


def _distributions(here: Sequence[Ran], place: int, style: Mapping[str, Style]) -> Iterator[Plot]:
    from lamps_cli.report import plots

    for n, (title, latency) in enumerate(_LATENCIES):
        values: dict[str, list[float]] = {name: [] for name in style}
        for ran in here:
            found = [latency(session) for session in ran.result.sessions if session.finished]
            values[ran.policy] += [value for value in found if value is not None]
        if any(values.values()):
            yield plots.distribution(title, f"d{place}-{n}", values, style)


def _over_time(here: Sequence[Ran], place: int) -> Iterator[tuple[str, tuple[Plot, ...]]]:
    """Memory and requests of each policy's run of the first seed."""
    from lamps_cli.report import plots

    seed = min((ran.seed for ran in here), default=0)
    shown = [ran for ran in here if ran.seed == seed and ran.timeline][:MOST_OVER_TIME]
    for n, ran in enumerate(shown):
        key = f"t{place}-{n}"
        timeline = with_paused(ran.timeline, ran.result.sessions)
        memory = plots.memory(f"{ran.policy}: KV memory", f"{key}m", timeline)
        yield ran.policy, (memory, plots.requests(f"{ran.policy}: requests", f"{key}r", timeline))


# --- all loads


def _sweeps(report: Report, style: Mapping[str, Style]) -> Iterator[Plot]:
    """Metrics over load, where there are several loads."""
    from lamps_cli.report import plots

    loads = [load for load in report.loads if load is not None]
    if len(loads) < 2:
        return
    found = [(ran, figures(ran.result)) for ran in report.ran]
    for name, title in _SWEPT.items():
        points = {
            policy: {
                load: estimate([f[name] for ran, f in found if ran.policy == policy and ran.load == load])
                for load in loads
                if any(ran.policy == policy and ran.load == load for ran, _ in found)
            }
            for policy in style
        }
        yield plots.sweep(title, f"s{name.replace('.', '-')}", points, style, report.axis)
