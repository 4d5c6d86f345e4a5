"""A measured profile as one HTML file: how well its model meets the steps that were measured. It needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine_adapter.control.steps import Step
from engine_adapter.profiling.document import as_yaml
from engine_adapter.profiling.fit import KINDS, Fitted, kind_of
from engine_adapter.profiling.measure import Measured, Seen
from engine_adapter.virtual.profile import Profile
from lamps_cli.report import svg
from lamps_cli.report.plots import Plot

_SIZE = (5.2, 3.4)  # inches; a page scales it
_COLOURS = dict(zip(KINDS, ("p0", "p1", "p2"), strict=True))
# Dots of a kind: more can't be told apart, and each is 100 bytes.
_DOTS = 400


def html(profile: Profile, measured: Measured, fitted: Fitted) -> str:
    """The page; see `page.need_packages`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lamps_cli.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    steps = [step for step in measured.steps if step.whole_s > 0.0]
    warnings = [] if measured.ended == "complete" else [f"Of a part of the load: {measured.problem or measured.ended}."]
    return environment.get_template("profile.html.jinja").render(
        profile=profile,
        page=svg.PAGE,
        lines=svg.LINES,
        kinds=_COLOURS,
        warnings=warnings,
        plots=_plots(steps, fitted.predicted, measured.seen),
        text=as_yaml(profile),
    )


def _plots(steps: Sequence[Step], predicted: Sequence[float], seen: Sequence[Seen]) -> list[Plot]:
    every = {kind: [(s, p) for s, p in zip(steps, predicted, strict=True) if kind_of(s) == kind] for kind in KINDS}
    pairs = {kind: _thinned(found) for kind, found in every.items() if found}

    def decoded(step: Step) -> float:
        return float(step.decode_seqs)

    def prefilled(step: Step) -> float:
        return float(step.prefill_tokens)

    plots = [_met(pairs)]
    if "decode" in pairs:
        plots.append(_over("Steps of decode alone", "sequences", decoded, {"decode": pairs["decode"]}, "batch"))
    prefills = {kind: found for kind, found in pairs.items() if kind != "decode"}
    if prefills:
        plots.append(_over("Steps that prefill", "tokens prefilled", prefilled, prefills, "chunk"))
    if seen:
        plots.append(_overheads(seen))
    return plots


Pairs = Mapping[str, Sequence[tuple[Step, float]]]


def _met(pairs: Pairs) -> Plot:
    """Measured against fitted; on the line they are the same."""
    with mpl.rc_context(svg.themed_rc()):
        figure, axes = _axes()
        for kind, found in pairs.items():
            x, y = [1e3 * p for _, p in found], [1e3 * s.whole_s for s, _ in found]
            axes.plot(x, y, "o", markersize=2.5, alpha=0.45, color=svg.stand_in(_COLOURS[kind]), markeredgewidth=0)
        ends = [1e3 * p for found in pairs.values() for _, p in found]
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=svg.stand_in("ink"), linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("fitted, ms")
        axes.set_ylabel("measured, ms")
        return Plot("Every step: measured against fitted", svg.inline(figure, "Measured against fitted steps", "met"))


def _over(title: str, unit: str, place: Callable[[Step], float], pairs: Pairs, key: str) -> Plot:
    """Measured times as dots, fitted ones as crosses, over *place*."""
    with mpl.rc_context(svg.themed_rc()):
        figure, axes = _axes()
        for kind, found in pairs.items():
            colour = svg.stand_in(_COLOURS[kind])
            x = [place(s) for s, _ in found]
            axes.plot(x, [1e3 * s.whole_s for s, _ in found], "o", markersize=2.5, alpha=0.35, color=colour,
                      markeredgewidth=0)  # fmt: skip
            axes.plot(x, [1e3 * p for _, p in found], "x", markersize=3, color=colour)
        axes.set_yscale("log")
        axes.set_xscale("log")
        axes.set_xlabel(unit)
        axes.set_ylabel("ms (dots measured, crosses fitted)")
        return Plot(title, svg.inline(figure, title, key))


def _overheads(seen: Sequence[Seen]) -> Plot:
    """What clients waited beyond their requests' time in the engine, over how many there were at once."""
    with mpl.rc_context(svg.themed_rc()):
        figure, axes = _axes()
        for one in seen:
            beyond_ms = 1e3 * (one.client_s - one.engine_s)
            says = f"{svg.SAYS}{one.kind}, {one.clients} at once, prompts of {one.prompt:.0f}: {beyond_ms:.1f} ms"
            axes.plot([one.clients], [beyond_ms], "o", markersize=4, color=svg.stand_in("p3"), gid=says)
        axes.set_xscale("log")
        axes.set_ylim(0)
        axes.set_xlabel("requests at once")
        axes.set_ylabel("ms outside the engine")
        return Plot("A request's time outside the engine", svg.inline(figure, "Time outside the engine", "outside"))


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    return figure, figure.add_subplot()


def _thinned(found: Sequence[tuple[Step, float]]) -> Sequence[tuple[Step, float]]:
    stride = max(1, -(-len(found) // _DOTS))
    return found[::stride]
