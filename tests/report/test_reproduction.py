"""The drawings of docs/reproduction.md: what they show, that they stand alone, that they are current."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from benchmarks.reproduction import plots, run, tables
from benchmarks.reproduction.behaviour import behaviour_of
from benchmarks.reproduction.cases import ALONE, PROFILES, STOCK, Case
from benchmarks.reproduction.plots import LOAD, Drawing, over_load, over_noise
from engine_adapter.virtual.simulate import simulate
from engine_adapter.workload.load import Load

MEAN = {"mean": ("all", "without_tools_s", "mean")}


def line(seconds: float) -> dict[str, object]:
    figures = {"mean": seconds, "p99": 2 * seconds}
    return {"all": {"without_tools_s": figures, "ttft_turn_s": figures}}


LINES = {
    ("multi", "engine", load, system): {1: line(stock * share), 2: line(3 * stock * share)}
    for load, stock in ((0.5, 1.0), (0.9, 2.0), (1.1, 10.0), (1.5, 20.0))
    for system, share in (("vLLM", 1.0), ("LAMPS", 0.5), ("LAMPS, noise 10 %", 0.6), ("LAMPS, online", 0.7))
}


def test_seconds_are_means_over_seeds() -> None:
    points = over_load(LINES, ["LAMPS"], MEAN)["mean", "multi"]["LAMPS"]
    assert {load: e.mean for load, e in points.items()} == {0.5: 1.0, 0.9: 2.0, 1.1: 10.0, 1.5: 20.0}


def test_ratios_are_taken_seed_by_seed() -> None:
    points = over_load(LINES, ["LAMPS"], MEAN, "vLLM")["mean", "multi"]["LAMPS"]
    assert [(e.mean, e.half) for e in points.values()] == [(0.5, 0.0)] * 4


def test_noise_is_drawn_over_its_percent_and_online_all_along() -> None:
    here = {key: runs for key, runs in LINES.items() if key[2] == 1.5}
    found = over_noise(here)["without tools, mean", "multi"]
    assert {at: round(e.mean, 6) for at, e in found["told, with noise"].items()} == {0.0: 0.5, 10.0: 0.6}
    assert {round(e.mean, 6) for e in found["learned online"].values()} == {0.7}


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return Drawing("made", "Made & drawn", LOAD, False, over_load(LINES, ["vLLM", "LAMPS"], MEAN))


def test_the_label_tells_the_figures(drawing: Drawing) -> None:
    assert drawing.label.startswith("Made & drawn. multi, mean: vLLM 2.00 s at 0.5, ")
    assert "LAMPS 1.00 s at 0.5, 2.00 s at 0.9, 10.00 s at 1.1, 20.00 s at 1.5." in drawing.label


def test_a_file_stands_alone_in_light_and_dark(drawing: Drawing) -> None:
    text = drawing.svg()
    ET.fromstring(text)
    assert text == drawing.svg()
    used = set(re.findall(r"var\((--\w+)\)", text))
    light, dark = re.findall(r":root \{(.*?)\}", text)
    assert "prefers-color-scheme: dark" in text
    for theme in (light, dark):
        assert used <= set(re.findall(r"(--\w+):", theme))
    assert re.findall(r'(?:href|src)="[^#]', text) == []


def test_runs_that_begin_differently_are_not_joined(drawing: Drawing) -> None:
    points = drawing.panels["mean", "multi"]["vLLM"]
    assert [list(part) for part in plots._parts(drawing, points)] == [[0.5, 0.9], [1.1, 1.5]]


def test_the_drawings_of_the_page_are_current() -> None:
    page = (plots.FOLDER.parent / "reproduction.md").read_text()
    for made in plots.drawings():
        assert f"](reproduction/{made.name}.svg)" in page
        assert ET.fromstring(made.path.read_text()).attrib["aria-label"] == made.label, "`make reproduce` draws them"


def test_load_1_is_told_for_every_trace_and_engine() -> None:
    found = {key[:2] for name in ("goal", "loads", "agentic") for key in tables.found(name)}
    assert all(f"| {trace} | {engine} |" in tables.rates() for trace, engine in found)


def test_lines_of_code_that_did_otherwise_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in tables._cases("noise") if case.seed < 3]
    known: dict[str, tables.Line] = {}

    def measured(case: Case, behaviour: str) -> None:
        found = run.key(case, behaviour)
        known[run.name(found)] = {"case": found}

    def told(system: str) -> set[str]:
        runs = [runs for (*_, name), runs in tables.found("noise").items() if name == system]
        return {line["case"]["behaviour"] for one in runs for line in one.values()}

    monkeypatch.setattr(tables, "_known", lambda: known)
    assert tables.found("noise") == {}
    for case in cases:
        measured(case, "older")
        measured(case, "old")
    assert told("vLLM") == told("LAMPS") == {"old"}
    said = list(tables._caveats("noise", tables.found("noise")))
    assert said[0].startswith("*LAMPS, LAMPS, noise 10 %,") and "of code that did otherwise" in said[0]
    assert said[1].startswith(f"*{len(tables._cases('noise')) - len(cases)} of ")
    for case in cases:
        if case.system == STOCK:
            measured(case, "")
    assert told("vLLM") == {behaviour_of(STOCK)} and told("LAMPS") == {"old"}
    assert "vLLM" not in next(tables._caveats("noise", tables.found("noise")))


def test_a_session_by_itself_never_meets_another() -> None:
    """And so none is faster in company: what the goal is set beside is a bound for every policy."""
    case = Case(ALONE, "augmented-multi", PROFILES[0], 0.9, 1)
    alone = run.simulation(case, 2.0)
    few = replace(alone, trace=replace(alone.trace, sessions=alone.trace.sessions[:12]))
    sessions = sorted(simulate(few).result.sessions, key=lambda session: session.arrival_s)
    ends = [session.arrival_s + (session.end_to_end_s or math.inf) for session in sessions]
    assert all(end < after.arrival_s for end, after in zip(ends, sessions[1:], strict=False))
    together = replace(few, load=Load(1000.0, seed=1))
    crowded = {session.name: session.end_to_end_s for session in simulate(together).result.sessions}
    assert all((session.end_to_end_s or math.inf) <= (crowded[session.name] or 0.0) for session in sessions)
