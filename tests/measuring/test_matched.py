"""Two files brought together: what stands beside what, and the reason where something can't be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lamps_cli.measuring.matched import Matched, matched, side
from lamps_cli.measuring.runs_file import Line, RunsFile
from tests.measuring import made


def file(path: Path, *lines: Line) -> str:
    kept = RunsFile.read(path)
    for line in lines:
        kept.add(line)
    return str(path)


def runs(slower: float = 1.0, seeds: int = 3, system: str = "lamps", **of_line) -> list[Line]:
    return [made.line(system, seed, slower, **of_line) for seed in range(seeds)]


@pytest.fixture
def both(tmp_path: Path):
    def brought(first: list[Line], second: list[Line], anyway: bool = False) -> Matched:
        a, b = file(tmp_path / "a", *first), file(tmp_path / "b", *second)
        return matched(side(a), side(b), anyway)

    return brought


def test_runs_of_one_seed_are_pairs(both) -> None:
    found = both(runs(), [*runs(2.0, code="c2"), made.line(seed=7, code="c2")])
    (pair,) = found.sides
    assert (pair.where, pair.seeds) == ("lamps at rate 2", [0, 1, 2])
    assert pair.second[0]["ttft_turn_s.mean"] == pytest.approx(2 * pair.first[0]["ttft_turn_s.mean"])
    assert found.reasons == []
    assert found.notes == ["lamps at rate 2: seeds [7] are in one file only and are left out"]
    assert "code c1" in found.heads[0] and "code c2" in found.heads[1]


def test_pairs_whose_runs_lie_hours_apart_are_named(both) -> None:
    found = both(
        runs(), [made.line(seed=seed, code="c2", began=f"2026-01-01T0{3 * seed}:00:00+00:00") for seed in (0, 1)]
    )
    assert "lamps at rate 2: runs of seed 1 began 3.0 h apart: the machine may have changed its speed" in found.notes
    assert [pair.seeds for pair in found.sides] == [[0, 1]]


def test_pairs_on_a_machine_that_was_slower_for_one_are_named(both) -> None:
    slow, fast = (replace(made.CALM, work_ms=work_ms) for work_ms in (4.5, 3.0))
    found = both(runs(disturbance=fast), runs(code="c2", disturbance=slow))
    (note,) = found.notes
    assert note.endswith("machines of other speeds: the second one 1.50 times as slow as the first (seed 0)")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (runs(system="fcfs"), None),  # one system each: they are compared
        (runs(rate=3.0), "lamps at rate 2: only "),
        (runs(machine={**made.MACHINE, "cores": 64}), "machines differ (cores 2 and 64)"),
        (runs(seeds=1), "1 seeds can be compared, 2 or more are needed"),
        ([*runs(seeds=2), made.line(seed=2, ended="server gone", failed=3)], "seed 2: PARTIAL, server gone"),
        ([*runs(seeds=2), made.line(seed=2, lost="did not start")], "seed 2: no result: did not start"),
        ([*runs(), *runs(system="fcfs")], None),
    ],
)
def test_why_something_cannot_be_compared(second: list[Line], reason: str | None, both) -> None:
    found = both(runs(), second)
    if reason is None:
        assert found.sides
    else:
        assert any(reason in said for said in found.reasons), found.reasons


def test_other_machines_and_busy_ones_count_only_if_wanted(both) -> None:
    other = runs(machine={**made.MACHINE, "cores": 64})
    assert both(runs(), other, anyway=True).sides


def test_runs_of_a_busy_machine_are_left_out(both) -> None:
    found = both(runs(), [*runs(seeds=2), made.line(seed=2, disturbance=made.BUSY)])
    assert found.sides[0].seeds == [0, 1]
    assert found.notes == ["lamps at rate 2: the machine did something else beside seeds [2], which are left out"]
    assert found.reasons == []


def test_busy_runs_alone_are_a_reason(both) -> None:
    found = both(runs(), runs(disturbance=made.BUSY))
    assert found.sides == []
    assert found.reasons == ["lamps at rate 2: 0 seeds can be compared, 2 or more are needed"]


def test_the_last_version_of_a_file_counts(both) -> None:
    found = both([*runs(5.0, code="old"), *runs()], runs())
    pair = found.sides[0]
    assert pair.first == pair.second
    assert found.notes == ["lamps at rate 2: 3 runs made otherwise than the last are left out"]


def test_a_partial_run_that_was_made_again_is_whole(both) -> None:
    found = both([made.line(seed=0, lost="x"), *runs()], [*runs(), made.line(seed=0, ended="interrupted")])
    assert (found.reasons, found.sides[0].seeds) == ([], [0, 1, 2])


def test_two_systems_of_one_file(tmp_path: Path) -> None:
    path = file(tmp_path / "a", *runs(), *runs(1.5, system="fcfs"))
    found = matched(side(f"{path}:lamps"), side(f"{path}:fcfs"))
    assert [pair.where for pair in found.sides] == ["lamps -> fcfs at rate 2"]
    with pytest.raises(LookupError, match="holds no runs of sjf, but of lamps, fcfs"):
        side(f"{path}:sjf")
    with pytest.raises(LookupError, match="there is no file"):
        side(str(tmp_path / "none"))
