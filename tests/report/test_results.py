"""The tables and drawings of docs/results.md, on made-up figures: what they show, and what they own up to."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.real import plots, tables
from benchmarks.real.cases import SYSTEMS, questions
from benchmarks.real.run import merged, passes
from lamps_cli.measuring.asked import planned

MADE_BY = {"lamps": "0.1.0", "vllm": "0.32.0", "code": "c1", "machine": {"processor": "made", "cores": 2}}
LOAD = {"sessions": 380, "gap_scale": 0.3, "max_gap_s": None, "length_scale": 1.0}


def run(system: str, at: float, seed: int, seconds: float, **more: object) -> dict[str, object]:
    figures = dict.fromkeys(tables.SHOWN, seconds) | {"preemptions": None}
    made = {"system": system, "at": at, "seed": seed, "began": "2026-01-02T00:00:00", "made_by": MADE_BY, "load": LOAD}
    return made | {"flags": ["--x"], "model": "random", "partial": "", "disturbed": [], "figures": figures} | more


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lost = run("lamps", 1.1, 2, 0.0, partial="no result: it died")
    del lost["figures"]
    runs = [run("stock", at, seed, at * seed) for at in (0.5, 1.1) for seed in (1, 2)]
    runs += [run("lamps", at, seed, at * seed / 2) for at, seed in ((0.5, 1), (0.5, 2), (1.1, 1))]
    runs.append(lost)
    runs[0]["disturbed"] = ["others took 0.5 cores meanwhile"]
    runs.reverse()  # systems take turns in being first
    found = {"title": "One call", "trace": "augmented-single", "by": "load", "saturation_per_s": 12.5, "runs": runs}
    path = tmp_path / "real.json"
    path.write_text(json.dumps({"single": found}))
    monkeypatch.setattr(tables, "FIGURES", path)
    return path


def test_a_table_for_each_load_with_ratios_seed_by_seed(known: Path) -> None:
    text = tables.made("single")
    assert "load 1 is 12.50 sessions/s" in text
    assert "Measured by lamps 0.1.0, code c1, vLLM 0.32.0 on made, 2 cores, 2026-01-02." in text
    assert "wasn't calm during 1 of 7 runs: stock at 0.5, seed 1." in text
    assert "Partial, and not in the tables: lamps at 1.1, seed 2." in text
    lines = [line for line in text.splitlines() if line.startswith("| lamps")]
    assert lines[0].startswith("| lamps | 2 | 0.375 ±")
    assert "(x0.50 ±0.00)" in lines[0]
    assert lines[1].startswith("| lamps | 1 | 0.55 (x0.50) |")
    assert "preemptions" not in text


def test_machines_of_other_speeds_are_told_of(known: Path) -> None:
    assert "speeds" not in tables.made("single")
    found = json.loads(known.read_text())
    for one in found["single"]["runs"]:
        one["work_ms"] = 4.0 if one["system"] == "lamps" and one["at"] == 0.5 else 3.0
    known.write_text(json.dumps(found))
    tables._known.cache_clear()
    said = "had machines of other speeds: lamps one 1.33 times as slow as stock (at 0.5, seed "
    assert f"Runs that stand beside each other {said}" in tables.made("single")


def test_what_was_not_measured_says_so(known: Path) -> None:
    assert tables.made("multi") == tables.NOT_MEASURED
    assert plots.shown("multi") == tables.NOT_MEASURED


def test_a_little_of_every_question_comes_before_much_of_one() -> None:
    for question in questions():
        whole = question.asked(("stock", "lamps"))
        first, *_, last = parts = [list(planned(part)) for part in passes(whole)]
        assert {(run.point, run.seed) for run in first} == {(question.points[0], whole.seeds[0])}
        assert last == list(planned(whole))
        assert all(set(before) < set(after) for before, after in pairwise(parts))
    assert passes(replace(whole, seeds=(1,), points=whole.points[:1])) == [passes(whole)[0]]


def test_systems_are_named_on_a_command_line() -> None:
    assert tuple(",".join(SYSTEMS).split(",")) == tuple(SYSTEMS)


def test_a_page_of_ones_own(known: Path) -> None:
    text = tables.page("some/model", known)
    assert text.startswith("# some/model under policies\n")
    assert "## One call\n" in text


def test_the_drawing_stands_alone(known: Path) -> None:
    (drawing,) = plots.drawings()
    ET.fromstring(drawing.svg())
    assert "lamps 0.375 s at 0.5, 0.55 s at 1.1" in drawing.label


def test_runs_measured_again_replace_those_before() -> None:
    old = {"q": {"runs": [run("stock", 0.5, 1, 1.0), run("lamps", 0.5, 1, 2.0)]}, "other": {}}
    now = merged(old, "q", {"runs": [run("lamps", 0.5, 1, 3.0)]})
    assert [one["figures"]["without_tools_s.mean"] for one in now["q"]["runs"]] == [1.0, 3.0]
    assert "other" in now


def test_runs_under_another_load_one_are_none_of_it() -> None:
    old = {"q": {"saturation_per_s": 20.0, "runs": [run("stock", 0.5, 1, 1.0), run("lamps", 0.5, 1, 2.0)]}}
    again = {"saturation_per_s": 20.0, "runs": [run("lamps", 0.5, 1, 3.0)]}
    assert len(merged(old, "q", again)["q"]["runs"]) == 2
    assert merged(old, "q", again | {"saturation_per_s": 21.0})["q"]["runs"] == again["runs"]


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.name)
def test_every_question_can_be_asked(question) -> None:
    asked = question.asked(tuple(SYSTEMS))
    assert len(list(planned(asked))) == len(SYSTEMS) * len(question.points) * 3
    longest = max(session.longest for session in asked.trace.sessions) * asked.load.length_scale
    assert longest <= question.longest, f"a session needs {longest:.0f} tokens"
    assert question.asked(("stock",), "some/model").flags == ()
