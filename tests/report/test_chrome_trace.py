"""The trace is what the format asks for, says what ran when, and stays within its bound."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from lamps_cli.report import chrome_trace
from lamps_cli.report.chrome_trace import Drawn
from tests.report.made import GIVEN_UP, KEPT, TIMELINE

RUNS = [Drawn("keep", *KEPT, TIMELINE, 12.0), Drawn("drop", *GIVEN_UP, TIMELINE, 12.0)]


def drawn() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(chrome_trace.chrome_trace(RUNS, {"trace": "made"}), allow_nan=False))
    return made


def spans(pid: int, tid: int) -> list[tuple[str, float, float]]:
    events = [e for e in drawn()["traceEvents"] if e["ph"] == "X" and (e["pid"], e["tid"]) == (pid, tid)]
    return [(e["name"], e["ts"] / 1e6, (e["ts"] + e["dur"]) / 1e6) for e in events]


def test_every_event_has_what_its_kind_needs() -> None:
    for event in drawn()["traceEvents"]:
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int) and event["name"]
        match event["ph"]:
            case "X":
                assert event["ts"] >= 0 and event["dur"] >= 0
            case "i":
                assert event["s"] == "t" and event["ts"] >= 0
            case "C":
                assert all(isinstance(value, int) for value in event["args"].values())
            case "M":
                assert event["name"] in ("process_name", "thread_name", "thread_sort_index") and event["args"]
            case other:
                raise AssertionError(other)


def test_spans_of_a_track_lie_in_each_other_or_apart() -> None:
    tracks = defaultdict(list)
    for event in drawn()["traceEvents"]:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(tracks) == 2 * 3 + 1  # three sessions each, and the steps of the one that recorded any
    for found in tracks.values():
        open_until: list[float] = []
        for begin, end in sorted(found, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)


def test_a_session_waits_prefills_decodes_and_pauses() -> None:
    assert spans(2, 1) == [
        ("turn 0", 0.0, 1.0),
        ("prefill", 0.0, 0.5),
        ("decode", 0.5, 1.0),
        ("paused in search, preserve", 1.0, 3.0),
        ("turn 1", 3.0, 4.0),
        ("prefill", 3.0, 3.5),
        ("decode", 3.5, 4.0),
    ]
    assert ("waiting", 3.0, 3.75) in spans(4, 1)


def test_a_preemption_shows() -> None:
    assert spans(2, 3) == [
        ("turn 0", 1.0, 9.0),
        ("waiting", 1.0, 1.5),
        ("prefill", 1.5, 2.5),
        ("decode", 2.5, 5.0),
        ("preempted", 5.0, 6.0),
        ("decode", 6.0, 9.0),
    ]


def test_paused_sessions_are_counted_by_what_their_clients_saw() -> None:
    counted = [e for e in drawn()["traceEvents"] if e["ph"] == "C" and e["name"] == "requests" and e["pid"] == 1]
    assert [e["args"]["paused"] for e in counted] == [0, 1, 1, *[0] * 9]


def test_what_is_too_much_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {left["sessions"] for left in drawn()["otherData"]["left_out"].values()} == {0}
    monkeypatch.setattr(chrome_trace, "MOST_EVENTS", 15)
    assert drawn()["otherData"]["left_out"]["keep"]["sessions"] > 0
