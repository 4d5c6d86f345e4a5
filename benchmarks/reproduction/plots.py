"""The drawings of docs/reproduction.md, from what `run` measured: docs/reproduction/*.svg.

    python -m benchmarks.reproduction.plots

Each file stands alone and follows the reader's light or dark setting. What a drawing shows is also its label, in words
and figures: nobody needs to see it, and a test can tell whether it is current.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.reproduction import tables
from benchmarks.reproduction.cases import (
    BOUNDED,
    BOUNDED_ONLINE,
    HANDLING,
    LAMPS,
    NOISE,
    ONLINE,
    PROFILES,
    RANKING,
    STOCK,
    SYSTEMS,
)
from benchmarks.reproduction.tables import Found, Line
from lamps_cli.metrics import Estimate, number
from lamps_cli.report.plots import Style, plain_ticks, styles
from lamps_cli.report.svg import inline, stand_in, standalone, themed_rc

FOLDER = Path(__file__).parents[2] / "docs" / "reproduction"
LOAD, RATE = "load, as a share of saturation", "sessions a second"
_PANEL = (3.9, 1.9)  # inches
_SHOWN = {
    "without tools, mean": ("all", "without_tools_s", "mean"),
    "without tools, p99": ("all", "without_tools_s", "p99"),
    "first token of a turn, mean": ("all", "ttft_turn_s", "mean"),
    "first token of a turn, p99": ("all", "ttft_turn_s", "p99"),
}
_GOAL = {
    "end to end, mean": tables.TAILS["end to end, mean"],
    **{title: _SHOWN[title] for title in ("without tools, mean", "without tools, p99")},
    "without tools, longest": tables.TAILS["max"],
    "first token of a turn, p99": tables.TAILS["turn p99"],
}

Points = Mapping[float, Estimate]
"""A figure at every place of the horizontal axis."""
Panels = Mapping[tuple[str, str], Mapping[str, Points]]
"""By metric (a row) and trace (a column), a line for each system."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One file. *across*: what the horizontal axis is; *ratio*: whether figures are ratios to vLLM, else seconds."""

    name: str
    title: str
    across: str
    ratio: bool
    panels: Panels

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.svg"

    @property
    def label(self) -> str:
        """What is drawn, in words and figures."""
        return f"{self.title}. " + " ".join(
            f"{trace}, {metric}: "
            + "; ".join(_told(system, points, self.ratio) for system, points in lines.items())
            + "."
            for (metric, trace), lines in self.panels.items()
        )

    def svg(self) -> str:
        """The file's text."""
        with mpl.rc_context(themed_rc()):
            return standalone(inline(_figure(self), self.label, self.name))


def drawings() -> Iterator[Drawing]:
    """All for which there are results."""
    compared = tables.found("comparison")
    for profile in PROFILES:
        here = {key: runs for key, runs in compared.items() if key[1] == profile}
        if here:
            seconds = over_load(here, [system.name for system in SYSTEMS], _SHOWN)
            yield Drawing(f"rates-{profile}", f"Every system on {profile}, over the rate", RATE, False, seconds)
    behind = tables.found("loads")
    if behind:
        seconds = over_load(behind, [system.name for system in SYSTEMS], _SHOWN)
        yield Drawing("loads", f"Every system on {PROFILES[0]}, over load", LOAD, False, seconds)
    goal = tables.found("goal")
    if goal:
        ratios = over_load(goal, [s.name for s in (BOUNDED, BOUNDED_ONLINE, LAMPS)], _GOAL, STOCK.name)
        yield Drawing("goal", "bounded_tail's ratio to vLLM over load", LOAD, True, ratios)
    ablation = tables.found("ablation")
    if ablation:
        ratios = over_load(ablation, [s.name for s in (HANDLING, RANKING, LAMPS)], _SHOWN, STOCK.name)
        yield Drawing("ablation", "Handling, ranking and both: ratio to vLLM over the rate", RATE, True, ratios)
    noise = tables.found("noise")
    if noise:
        yield Drawing("noise", "Noise in what LAMPS is told: ratio to vLLM", "noise, percent", True, over_noise(noise))


def shown(name: str) -> str:
    """The drawing as Markdown; a sentence where nothing was measured yet."""
    found = next((drawing for drawing in drawings() if drawing.name == name), None)
    if found is None:
        return tables.NOT_MEASURED
    return f"![{found.title}: the figures of the tables below](reproduction/{name}.svg)"


# --- what is drawn


def over_load(
    lines: Found, systems: Sequence[str], metrics: Mapping[str, Sequence[str]], to: str | None = None
) -> Panels:
    """Each metric of each system at every load. *to*: the system to take ratios to, seed by seed."""
    panels: dict[tuple[str, str], dict[str, dict[float, Estimate]]] = {}
    for metric, path in metrics.items():
        for trace, profile, load, system in sorted(lines, key=lambda key: (key[0], key[2])):
            if system in systems:
                runs = lines[trace, profile, load, system]
                points = panels.setdefault((metric, trace), {}).setdefault(system, {})
                points[load] = _figure_of(runs, lines.get((trace, profile, load, to), {}) if to else None, path)
    return panels


def over_noise(lines: Found) -> Panels:
    """LAMPS with noise of 0 to 60 %, and with predictions learned online, which have none to choose."""
    at = {LAMPS.name: 0.0} | {system.name: float(system.predict.partition(":")[2]) * 100 for system in NOISE}
    panels: dict[tuple[str, str], dict[str, dict[float, Estimate]]] = {}
    for metric, path in _SHOWN.items():
        for trace, profile, load, system in sorted(lines, key=lambda key: (key[0], at.get(key[3], 0.0))):
            stock = lines.get((trace, profile, load, STOCK.name), {})
            drawn = panels.setdefault((metric, trace), {"told, with noise": {}, "learned online": {}})
            figure = _figure_of(lines[trace, profile, load, system], stock, path)
            if system in at:
                drawn["told, with noise"][at[system]] = figure
            elif system == ONLINE.name:
                drawn["learned online"] = dict.fromkeys(at.values(), figure)
    return panels


def _figure_of(runs: Mapping[int, Line], to: Mapping[int, Line] | None, path: Sequence[str]) -> Estimate:
    return tables.estimated(runs, path) if to is None else tables.ratio_to(to, runs, path)


def _told(system: str, points: Points, ratio: bool) -> str:
    unit = "" if ratio else " s"
    return f"{system} " + ", ".join(f"{number(e.mean)}{unit} at {place:.3g}" for place, e in points.items())


# --- how


def _figure(drawing: Drawing) -> Figure:
    """A grid of panels, a row for each metric, with one legend above."""
    rows = list(dict.fromkeys(metric for metric, _ in drawing.panels))
    columns = list(dict.fromkeys(trace for _, trace in drawing.panels))
    systems = list(dict.fromkeys(system for lines in drawing.panels.values() for system in lines))
    style = styles(systems)
    figure = Figure(figsize=(_PANEL[0] * len(columns), _PANEL[1] * len(rows) + 0.5))
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, metric in enumerate(rows):
        for column, trace in enumerate(columns):
            axes = grid[row][column]
            _panel(axes, drawing, drawing.panels.get((metric, trace), {}), style)
            axes.set_title(f"{trace}\n{metric}" if row == 0 else metric, fontsize=9)
            if row == len(rows) - 1:
                axes.set_xlabel(drawing.across)
        grid[row][0].set_ylabel("of vLLM's" if drawing.ratio else "seconds")
    handles = [Line2D([], [], color=stand_in(one.variable), linestyle=one.dash, linewidth=2) for one in style.values()]
    figure.legend(handles, systems, loc="outside upper center", ncols=min(len(systems), 3), frameon=False)
    return figure


def _panel(axes: Axes, drawing: Drawing, lines: Mapping[str, Points], style: Mapping[str, Style]) -> None:
    places = sorted({place for points in lines.values() for place in points})
    if drawing.ratio:
        axes.axhline(1.0, color=stand_in("ink"), linewidth=0.8)
    for system, points in lines.items():
        for part in _parts(drawing, points):
            _line(axes, part, style[system])
    if drawing.across == LOAD:
        axes.axvline(1.0, color=stand_in("ink"), linewidth=0.8, linestyle=":")
    if drawing.ratio:
        axes.set_ylim(0, 1.05 * max(1.0, *(e.mean for points in lines.values() for e in points.values())))
    else:
        axes.set_yscale("log")
        plain_ticks(axes)
    axes.set_xticks(places, [f"{place:.3g}" for place in places])
    axes.xaxis.minorticks_off()


def _parts(drawing: Drawing, points: Points) -> Iterator[Points]:
    """What a line may join: runs below load 1 begin with an empty engine, those above with a queue."""
    known = {place: e for place, e in sorted(points.items()) if not math.isnan(e.mean)}
    if drawing.across != LOAD:
        yield known
        return
    yield {place: e for place, e in known.items() if place <= 1}
    yield {place: e for place, e in known.items() if place > 1}


def _line(axes: Axes, points: Points, style: Style) -> None:
    """A line with its intervals as a band."""
    colour, means = stand_in(style.variable), [e.mean for e in points.values()]
    places = list(points)
    axes.plot(places, means, color=colour, linestyle=style.dash, linewidth=style.width, marker="o", markersize=3.5)
    halves = [0.0 if math.isnan(e.half) else e.half for e in points.values()]
    # Down to a tenth of the mean: a logarithmic scale has no place for what is below nothing.
    lows = [max(mean - half, mean / 10) for mean, half in zip(means, halves, strict=True)]
    highs = [mean + half for mean, half in zip(means, halves, strict=True)]
    axes.fill_between(places, lows, highs, color=colour, alpha=0.12, linewidth=0)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for drawing in drawings():
        text = drawing.svg()
        if not drawing.path.exists() or drawing.path.read_text() != text:
            drawing.path.write_text(text)
            print(f"wrote docs/reproduction/{drawing.path.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
