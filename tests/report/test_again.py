"""Kept runs are made again: what is drawn, and that a line that comes out otherwise is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.reproduction import again, cases
from benchmarks.reproduction.cases import PROFILES, STOCK, Case
from benchmarks.reproduction.run import Line, carry_out, known

CASE = Case(STOCK, "augmented-single", PROFILES[0], 5.0, 1, "rate")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    """The line of CASE, of twelve sessions."""
    path: Path = tmp_path_factory.mktemp("kept") / "lines.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cases.AT_RATE, CASE.trace, 12)
        carry_out([CASE], path, at_once=1)
        yield known(path)


def test_a_line_made_again_is_the_same(kept: dict[str, Line], capsys: pytest.CaptureFixture[str]) -> None:
    assert again.compare([CASE], kept) == 0
    assert capsys.readouterr().out == "1 of 1 lines made again, 0 differ\n"


def test_a_line_that_differs_is_told_with_what_differs(
    kept: dict[str, Line], capsys: pytest.CaptureFixture[str]
) -> None:
    [(name, line)] = kept.items()
    assert again.compare([CASE], {name: line | {"preemptions": 7, "rate": 4.9}}) == 1
    assert capsys.readouterr().out.startswith("differs in preemptions, rate: {")


def test_only_what_has_a_line_is_drawn(kept: dict[str, Line]) -> None:
    assert again.drawn(5, 1, kept) == []  # the page has no run this small
