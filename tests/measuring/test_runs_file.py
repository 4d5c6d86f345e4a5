"""The file of runs: what is written is read again, what is damaged or of something else is named and not used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.workload.arriving import Bursty, Closed, Poisson, Recorded
from engine_adapter.workload.kept import NotKept, kept, load_document, load_from, restored
from engine_adapter.workload.load import Load
from lamps_cli.measuring.machine import Disturbance
from lamps_cli.measuring.runs_file import RunsFile, Saturation, Unreadable
from tests.measuring import made

_ARRIVALS = st.one_of(
    st.just(Poisson()),
    st.builds(Bursty, st.floats(0, 20)),
    st.builds(Recorded, st.floats(0, 1e6)),
    st.builds(Closed, st.integers(1, 1000), st.floats(0, 1e6)),
)


@given(
    st.builds(
        Load,
        rate=st.floats(1e-6, float("inf")),
        seed=st.integers(),
        max_gap_s=st.none() | st.floats(0, 1e9),
        arriving=_ARRIVALS,
    )
)
def test_a_load_comes_back(load: Load) -> None:
    assert load_from(load_document(load)) == load


def test_a_run_comes_back_with_every_turn(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    line = made.line(failed=2)
    RunsFile.read(path).add(line)
    found = RunsFile.read(path)
    assert found.lines == [line]
    assert found.run(line.asked, line.made_by) == line
    assert found.damaged == []


def test_what_is_no_run_is_refused() -> None:
    values = kept(made.result(0, 1.0))
    with pytest.raises(NotKept):
        restored(values | {"turn_fields": values["turn_fields"][:-1]})
    with pytest.raises(NotKept):
        restored({"sessions": []})


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    file = RunsFile.read(path)
    first, second = made.line(seed=0), made.line(seed=1)
    file.add(first)
    file.add(second)
    path.write_bytes(path.read_bytes()[:-40])
    cut = RunsFile.read(path)
    assert (cut.lines, cut.damaged) == ([first], [2])
    cut.add(second)
    assert RunsFile.read(path).lines == [first, second]
    assert RunsFile.read(path).damaged == [2]


def test_runs_of_something_else_are_named_and_not_used(tmp_path: Path) -> None:
    file = RunsFile.read(tmp_path / "runs.jsonl")
    old, new = made.line(code="c1"), made.line(code="c2")
    file.add(old)
    assert file.run(new.asked, new.made_by) is None
    assert file.others(new.asked, new.made_by) == [old]
    file.add(new)
    assert file.run(new.asked, new.made_by) == new


@pytest.mark.parametrize("partial", [made.line(ended="server gone"), made.line(lost="the server did not start")])
def test_a_partial_run_is_kept_and_made_again(partial, tmp_path: Path) -> None:
    file = RunsFile.read(tmp_path / "runs.jsonl")
    file.add(partial)
    again = RunsFile.read(file.path)
    assert again.lines == [partial]
    assert again.run(partial.asked, partial.made_by) is None
    whole = replace(made.line(), made_by=partial.made_by)
    again.add(whole)
    assert again.run(partial.asked, partial.made_by) == whole


def test_partial_runs_say_what_is_missing() -> None:
    assert made.line().partial == ""
    assert made.line(ended="server gone", failed=4).partial == "PARTIAL, server gone after 12.0 s: 6 of 10 sessions"
    assert made.line(lost="no server answers").partial == "no result: no server answers"


def test_a_saturation_is_found_again_by_what_made_it(tmp_path: Path) -> None:
    file = RunsFile.read(tmp_path / "runs.jsonl")
    line = made.line()
    file.add_saturation(line.asked, line.made_by, Saturation(12.5, 0.25))
    again = RunsFile.read(file.path)
    assert again.saturation(line.asked, line.made_by) == Saturation(12.5, 0.25)
    assert again.saturation(line.asked, {**line.made_by, "vllm": "0.33"}) is None


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="can't read"):
        RunsFile.read(tmp_path)
    with pytest.raises(Unreadable, match="can't write"):
        RunsFile(tmp_path / "nowhere" / "x").add(made.line())


def test_a_disturbance_comes_back(tmp_path: Path) -> None:
    line = made.line(disturbance=Disturbance(None, 0.5, 0.25, 1.5, 2.0))
    RunsFile.read(tmp_path / "x").add(line)
    assert RunsFile.read(tmp_path / "x").lines[0].disturbance == line.disturbance
