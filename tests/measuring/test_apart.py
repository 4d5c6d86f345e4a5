"""How far apart compared runs lie."""

from __future__ import annotations

from datetime import timedelta

from lamps_cli.measuring.apart import apart, at_other_speeds, far_apart, words


def at(hour: float) -> str:
    return f"2026-01-01T{int(hour):02}:{int(hour % 1 * 60):02}:00+00:00"


def test_only_runs_with_something_in_common_are_set_beside_each_other() -> None:
    runs = [("seed 1", at(1)), ("seed 2", at(9)), ("seed 1", at(1.25)), ("seed 2", at(9.5)), ("seed 2", at(9.25))]
    assert apart(runs) == ("seed 2", timedelta(minutes=30))
    assert far_apart(runs) == ""
    assert far_apart([*runs, ("seed 1", at(5))]).startswith("runs of seed 1 began 4.0 h apart: ")


def test_of_no_runs_and_of_single_ones_nothing_is_said() -> None:
    assert apart([]) == ("", timedelta())
    assert far_apart([("seed 1", at(1)), ("seed 2", at(9))]) == ""


def test_a_span_in_words() -> None:
    assert [words(timedelta(hours=hours)) for hours in (0.75, 4.125, 72)] == ["45 min", "4.1 h", "3 days"]


def test_runs_on_a_machine_that_was_slower_then_are_named() -> None:
    runs = [("seed 1", "stock", 3.0), ("seed 1", "lamps", 4.5), ("seed 2", "stock", 9.0), ("seed 2", "lamps", None)]
    assert at_other_speeds(runs) == (
        "runs that stand beside each other had machines of other speeds: lamps one 1.50 times as slow as stock (seed 1)"
    )


def test_what_is_not_beside_it_or_hardly_slower_is_not_named() -> None:
    assert at_other_speeds([]) == ""
    assert at_other_speeds([("seed 1", "stock", 3.0), ("seed 2", "lamps", 4.5)]) == ""
    assert at_other_speeds([("seed 1", "stock", 3.0), ("seed 1", "lamps", 3.4)]) == ""
