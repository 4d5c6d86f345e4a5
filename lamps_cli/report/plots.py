"""The drawings of a report: distributions of latency, memory and requests over time, a sweep over loads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from engine_adapter.workload.result import Sample
from engine_adapter.workload.summary import quantile
from lamps_cli.metrics import Estimate, number
from lamps_cli.report.svg import POLICY_COLOURS, SAYS, inline, stand_in, themed_rc

_SIZE = (4.6, 2.7)  # inches; a page scales it
_POINTS = 100  # of a line: more can't be told apart at this size
_WIDEST, _NARROWER = 3.0, 0.7  # points: of the first policy's line, and of each following one less
_DASHES = ("-", "--", ":", "-.")
_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
_MEMORY = {"running": "kv_running", "preserved": "kv_pinned", "free": "kv_free"}
_REQUESTS = ("running", "waiting", "paused")
_FEW_DECADES = 2.5
# Latencies of nothing (a first token in no time) have no place on a logarithmic scale.
_SMALLEST_S = 1e-4


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with its heading."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Style:
    """How a policy is drawn, the same everywhere."""

    variable: str
    dash: str
    width: float


def styles(policies: Sequence[str]) -> dict[str, Style]:
    """A colour for each policy, beyond them another dash. Of equal lines the first shows below the others."""
    return {
        name: Style(
            f"p{n % POLICY_COLOURS}", _DASHES[n // POLICY_COLOURS % len(_DASHES)], max(_WIDEST - _NARROWER * n, 1.2)
        )
        for n, name in enumerate(policies)
    }


def distribution(title: str, key: str, values: Mapping[str, Sequence[float]], style: Mapping[str, Style]) -> Plot:
    """Quantiles of each policy's *values*, in seconds, the tail stretched: 90, 99 and 99.9 % lie evenly apart."""
    with mpl.rc_context(themed_rc()):
        figure, axes = _axes()
        longest = 0.0
        for name, found in values.items():
            if not found:
                continue
            ordered = sorted(found)
            end = math.log10(len(ordered)) if len(ordered) > 1 else 0.3
            longest = max(longest, end)
            places = [end * n / _POINTS for n in range(_POINTS + 1)]
            heights = [max(quantile(ordered, 1 - 10**-place), _SMALLEST_S) for place in places]
            colour = _line(axes, places, heights, name, style)
            for share in (*_SHARES, 1.0):
                place = end if share == 1.0 else -math.log10(1 - share)
                if place <= end:
                    at_s = quantile(ordered, share)
                    word = "longest" if share == 1.0 else f"{share * 100:g} % within"
                    _mark(axes, place, max(at_s, _SMALLEST_S), colour, f"{name}: {word} {number(at_s)} s")
        axes.set_yscale("log")
        plain_ticks(axes)
        ticks = [0.0, *(-math.log10(1 - share) for share in (0.5, 0.9, 0.99, 0.999, 0.9999))]
        axes.set_xticks(ticks, ["0", "50", "90", "99", "99.9", "99.99 %"])
        axes.set_xlim(0, max(longest, 0.3))
        axes.set_xlabel("percent of sessions that took no longer")
        axes.set_ylabel("seconds")
        label = "; ".join(
            f"{name}: half within {number(quantile(sorted(found), 0.5))} s, 99 % within "
            f"{number(quantile(sorted(found), 0.99))} s"
            for name, found in values.items()
            if found
        )
        return Plot(title, inline(figure, f"{title}. {label}", key))


def memory(title: str, key: str, timeline: Sequence[Sample]) -> Plot:
    """KV memory by state over time, in tokens, stacked up to all there is."""
    instants, series = _thinned(timeline, _MEMORY)
    means = {kind: _mean(timeline, field) for kind, field in _MEMORY.items()}
    with mpl.rc_context(themed_rc()):
        figure, axes = _axes()
        colours = [stand_in(kind) for kind in series]
        areas = axes.stackplot(instants, *series.values(), colors=colours, linewidth=0, step="post")
        for area, (kind, mean) in zip(areas, means.items(), strict=True):
            area.set_gid(f"{SAYS}{kind}: {mean:,.0f} tokens on average")
        axes.set_xlim(instants[0], max(instants[-1], instants[0] + 1e-9))
        axes.set_ylim(0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("tokens")
        _thousands(axes)
        label = ", ".join(f"{kind} {mean:,.0f}" for kind, mean in means.items())
        return Plot(title, inline(figure, f"{title}. Tokens on average: {label}", key))


def requests(title: str, key: str, timeline: Sequence[Sample]) -> Plot:
    """Requests that run and wait, and paused sessions, over time."""
    instants, series = _thinned(timeline, {kind: kind for kind in _REQUESTS})
    most = {kind: max(getattr(sample, kind) for sample in timeline) for kind in _REQUESTS}
    with mpl.rc_context(themed_rc()):
        figure, axes = _axes()
        for kind, values in series.items():
            says = f"{SAYS}{kind}: {_mean(timeline, kind):,.1f} on average, {most[kind]:,} at most"
            axes.plot(instants, values, color=stand_in(kind), drawstyle="steps-post", gid=says)
        axes.set_xlim(instants[0], max(instants[-1], instants[0] + 1e-9))
        axes.set_ylim(0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("requests")
        _thousands(axes)
        label = ", ".join(f"at most {count:,} {kind}" for kind, count in most.items())
        return Plot(title, inline(figure, f"{title}: {label}", key))


def sweep(
    title: str, key: str, points: Mapping[str, Mapping[float, Estimate]], style: Mapping[str, Style], axis: str
) -> Plot:
    """One metric over load for each policy: means over seeds, with their intervals as bands. *axis*: what loads are."""
    with mpl.rc_context(themed_rc()):
        figure, axes = _axes()
        for name, found in points.items():
            known = {load: e for load, e in sorted(found.items()) if e.mean > 0}
            if not known:
                continue
            means = [e.mean for e in known.values()]
            colour = _line(axes, list(known), means, name, style)
            halves = [0.0 if math.isnan(e.half) else e.half for e in known.values()]
            lows = [max(mean - half, mean / 20) for mean, half in zip(means, halves, strict=True)]
            highs = [mean + half for mean, half in zip(means, halves, strict=True)]
            axes.fill_between(list(known), lows, highs, color=colour, alpha=0.18, linewidth=0)
            for load, e in known.items():
                interval = "" if math.isnan(e.half) else f" ±{number(e.half)}"
                says = f"{name} at {load:g}: {number(e.mean)}{interval} s"
                axes.plot([load], [e.mean], marker="o", markersize=4, color=colour, gid=SAYS + says)
        axes.set_yscale("log")
        plain_ticks(axes)
        loads = sorted({load for found in points.values() for load in found})
        axes.set_xticks(loads, [f"{load:g}" for load in loads])
        axes.xaxis.minorticks_off()
        axes.set_xlabel(axis)
        axes.set_ylabel("seconds")
        label = "; ".join(
            f"{name}: " + ", ".join(f"{number(e.mean)} s at {load:g}" for load, e in sorted(found.items()))
            for name, found in points.items()
        )
        return Plot(title, inline(figure, f"{title}. {label}", key))


# --- parts of them


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    return figure, figure.add_subplot()


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], name: str, style: Mapping[str, Style]) -> str:
    """A policy's line; returns its colour."""
    one = style[name]
    colour = stand_in(one.variable)
    axes.plot(x, y, color=colour, linestyle=one.dash, linewidth=one.width, gid=f"{SAYS}{name}")
    return colour


def _mark(axes: Axes, x: float, y: float, colour: str, says: str) -> None:
    """A spot that can't be seen, but hovered over."""
    axes.plot([x], [y], marker="o", markersize=9, color=colour, alpha=0, gid=SAYS + says)


def plain_ticks(axes: Axes) -> None:
    """0.1, 1, 10, 1,000 instead of powers of ten; where there would be too few of them, 2 and 5 of each too."""
    low, high = axes.get_ylim()
    few = math.log10(high / low) < _FEW_DECADES
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _thousands(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _thinned(timeline: Sequence[Sample], kinds: Mapping[str, str]) -> tuple[list[float], dict[str, list[float]]]:
    """Instants, and at each the mean of so many samples that at most `_POINTS` remain, of every field of *kinds*."""
    stride = max(1, math.ceil(len(timeline) / _POINTS))
    groups = [timeline[begin : begin + stride] for begin in range(0, len(timeline), stride)]
    values = {kind: [_mean(group, field) for group in groups] for kind, field in kinds.items()}
    return [group[0].at_s for group in groups], values


def _mean(samples: Sequence[Sample], field: str) -> float:
    return math.fsum(getattr(sample, field, 0) for sample in samples) / len(samples)
