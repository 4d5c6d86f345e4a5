"""Runs whose client was too slow say so, one by one and in a comparison."""

from __future__ import annotations

from dataclasses import replace

from engine_adapter.workload.result import BenchResult
from lamps_cli.measuring import lateness
from tests.measuring import made


def late_by(seconds: float, url: str = "http://10.0.0.7:8000") -> BenchResult:
    result = replace(made.result(0, 1.0), url=url)
    result.sessions[1].turns[0].lag_s = seconds
    return result


def test_a_client_that_keeps_up_says_nothing() -> None:
    assert lateness.of_one(late_by(lateness.TOLERABLE_LAG_S)) == ""
    assert lateness.of_several({"one": late_by(0.1), "other": late_by(0.0)}) == ""


def test_a_late_client_is_told_and_that_the_server_is_beside_it() -> None:
    far, near = lateness.of_one(late_by(1.5)), lateness.of_one(late_by(1.5, "http://127.0.0.1:8000"))
    assert far.startswith("a request was sent 1.50 s late") and "--policies" not in far
    assert near.startswith(far) and "--policies" in near


def test_a_comparison_names_the_late_runs() -> None:
    said = lateness.of_several({"one": late_by(0.5), "other": late_by(0.1), "third": late_by(2.0)})
    assert said.startswith("requests were sent up to 2.00 s late in 2 of 3 runs") and said.endswith(": one, third")
