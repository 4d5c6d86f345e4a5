"""The drawings of docs/results.md, from the figures that `run` kept: docs/results/*.svg.

python -m benchmarks.real.plots
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.real.cases import questions
from benchmarks.real.tables import NOT_MEASURED, by_system, figures_of, places
from benchmarks.reproduction.plots import Drawing
from lamps_cli.measuring.view import AXES
from lamps_cli.metrics import Estimate, estimate

FOLDER = Path(__file__).parents[2] / "docs" / "results"
# Not the axis of the reproduction, whose lines break at load 1: these runs all begin with an empty engine.
_ACROSS = AXES | {"load": "load, as a share of what stock serves behind"}
ONE_POINT = "*No lines to draw yet: measured at one load.*"
_SHOWN = {
    "without tools, mean": "without_tools_s.mean",
    "without tools, p99": "without_tools_s.p99",
    "first token of a turn, mean": "ttft_turn_s.mean",
    "first token of a turn, p99": "ttft_turn_s.p99",
}


def drawings() -> Iterator[Drawing]:
    """One for each question with figures at several points."""
    for question in questions():
        found = figures_of(question.name)
        if found is None or len(places(found)) < 2:
            continue
        panels: dict[tuple[str, str], dict[str, dict[float, Estimate]]] = {}
        for title, key in _SHOWN.items():
            lines = panels.setdefault((title, question.trace), {})
            for at in places(found):
                for system, runs in by_system(found, at).items():
                    lines.setdefault(system, {})[at] = estimate([run[key] for run in runs.values()])
        yield Drawing(question.name, f"{question.title}, on the real server", _ACROSS[found["by"]], False, panels)


def shown(name: str) -> str:
    """The drawing as Markdown; a sentence where there are no lines to draw."""
    found = next((drawing for drawing in drawings() if drawing.name == name), None)
    if found is None:
        return NOT_MEASURED if figures_of(name) is None else ONE_POINT
    return f"![{found.title}: the figures of the tables below](results/{name}.svg)"


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for drawing in drawings():
        (FOLDER / f"{drawing.name}.svg").write_text(drawing.svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
